import { CLI } from "../../src/cli/cli";
import { framework } from "../framework";

export class Start extends CLI {
  static readonly isServer = true;

  constructor() {
    super();
    this.name = "start";
    this.description = "start the server in this process";
    this.example = "actionhero start";
    this.initialize = false;
  }

  async run() {
    const { Process } = framework();
    const app = new Process();
    app.registerProcessSignals((exitCode) => process.exit(exitCode));
    await app.start();
    return false;
  }
}
