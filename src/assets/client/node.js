/** `actionhero/client` in node. */
const { WebSocket } = require("ws");
const { defineClient } = require("./define.js");

exports.ActionheroWebsocketClient = defineClient(WebSocket);
