/** `actionhero/client` for bundlers of browser code. */
const { defineClient } = require("./define.js");

exports.ActionheroWebsocketClient = defineClient(window.WebSocket);
