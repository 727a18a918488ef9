import { CLI } from "../../../src/cli/cli";
import {
  generateComponent,
  refuseOwnName,
} from "../../../src/cli/generate/component";

export class GenerateServer extends CLI {
  constructor() {
    super();
    this.name = "generate-server";
    this.description =
      "write a new server, for clients of your own kind, and its test";
    this.example = "actionhero generate-server --name=udp";
    this.initialize = false;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the type of the server, and the name of its file",
      },
    };
  }

  async run({ params }: { params: { name: string } }) {
    refuseOwnName("server", params.name);
    generateComponent(
      [
        { template: "server.ts", path: "server" },
        { template: "test/server.ts", path: "test", folder: "servers" },
      ],
      { name: params.name, testTitle: `Server: ${params.name}` },
    );
    return true;
  }
}
