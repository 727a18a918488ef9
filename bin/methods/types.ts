import * as path from "node:path";
import { CLI } from "../../src/cli/cli";

interface Params {
  out?: string;
  check?: boolean;
}

export class Types extends CLI {
  static readonly withoutRedis = true;

  constructor() {
    super();
    this.name = "types";
    this.description =
      "write the types of all actions and tasks, for their callers and for clients";
    this.example = "actionhero types --check";
    this.inputs = {
      out: {
        letter: "o",
        requiredValue: true,
        description: "the file to write (default: src/actions.gen.ts)",
      },
      check: {
        letter: "c",
        flag: true,
        description: "write nothing, and fail if the file is out of date",
      },
    };
  }

  async run({ params: { out, check } }: { params: Params }) {
    // loaded here, because loading it is what builds the configuration
    const { areTypesWritten, typesFile, writeTypes } =
      require("../../src/development/actionTypes") as typeof import("../../src/development/actionTypes");
    const file = path.resolve(out ?? typesFile());
    if (check) {
      if (areTypesWritten(file)) return true;
      console.error(`${file} is out of date: run \`actionhero types\``);
      process.exitCode = 1;
    } else {
      console.log(`${writeTypes(file) ? "written" : "unchanged"}: ${file}`);
    }
    return true;
  }
}
