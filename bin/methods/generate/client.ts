import * as path from "node:path";
import { CLI } from "../../../src/cli/cli";

interface Params {
  out: string;
  name?: string;
}

export class GenerateClient extends CLI {
  static readonly printsData = true;
  static readonly withoutRedis = true;

  constructor() {
    super();
    this.name = "generate-client";
    this.description =
      "write a package that calls this server, with the types of its actions, for other projects";
    this.example = "actionhero generate-client --out=../client";
    this.inputs = {
      out: {
        required: true,
        letter: "o",
        description:
          "the folder of the package; what it wrote there before is replaced",
      },
      name: {
        letter: "n",
        requiredValue: true,
        description:
          "the name of the package (default: that of the project with -client)",
      },
    };
  }

  async run({ params: { out, name } }: { params: Params }) {
    // loaded here, because loading it is what builds the configuration
    const { writeClientPackage } =
      require("../../../src/development/clientPackage") as typeof import("../../../src/development/clientPackage");
    const folder = path.resolve(out);
    writeClientPackage({ out: folder, name });
    console.log(`written: ${folder}`);
    return true;
  }
}
