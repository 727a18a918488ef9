/** An action that is counted, and one that tells what its process has counted: written into the project of the bench. */
const { Action } = require("actionhero");

const seen = { requests: 0, sockets: new Set() };

exports.Counted = class Counted extends Action {
  constructor() {
    super();
    this.name = "counted";
    this.description = "one more";
    this.outputExample = {};
  }
  async run({ connection }) {
    seen.requests++;
    seen.sockets.add(connection.rawConnection.req.socket);
    return { done: true };
  }
};

exports.Counts = class Counts extends Action {
  constructor() {
    super();
    this.name = "counts";
    this.description = "of this worker";
    this.outputExample = {};
  }
  async run() {
    const { requests, sockets } = seen;
    return { pid: process.pid, requests, connections: sockets.size };
  }
};
