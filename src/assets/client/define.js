/** The client as a module: over the same two sources as the script for pages. */
const definePrimus = require("../primus.js");
const defineWebsocketClient = require("../websocketClient.js");

// what a server does unless it is configured otherwise: a ping every 30 s
const SERVER = { pathname: "/primus", pingTimeout: 45000 };

exports.defineClient = function defineClient(WebSocket) {
  const Primus = definePrimus(WebSocket, SERVER);
  return defineWebsocketClient({
    EventEmitter: Primus.EventEmitter,
    connect: Primus.connect,
    defaults: {},
  });
};
