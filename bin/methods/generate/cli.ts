import { CLI } from "../../../src/cli/cli";
import { detectTypescript } from "../../../src/environment/env";
import { generateComponent } from "../../../src/cli/generate/component";

interface Params {
  name: string;
  description: string;
  example: string;
}

export class GenerateCLI extends CLI {
  constructor() {
    super();
    this.name = "generate-cli";
    this.description =
      "write a new command for this command line, and its test";
    this.example = "actionhero generate-cli --name=import-users";
    this.initialize = false;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the command, and of its file",
      },
      description: {
        letter: "d",
        default: "an actionhero cli command",
        requiredValue: true,
        description: "what the command does",
      },
      example: {
        letter: "e",
        default: "actionhero command --option=yes",
        requiredValue: true,
        description: "how to call it",
      },
    };
  }

  async run({ params }: { params: Params }) {
    const { name, description, example } = params;
    // loaded here, because it loads the classes of all commands
    const { builtInNames } =
      require("../../../src/cli/runner") as typeof import("../../../src/cli/runner");
    if (builtInNames().includes(name.trim().split(" ")[0]!))
      throw new Error(
        `\`${name}\` is a command of actionhero: choose another name`,
      );
    generateComponent(
      [
        { template: "cli.ts", path: "cli" },
        { template: "test/cli.ts", path: "test", folder: "bin" },
      ],
      { name, description, example, testTitle: `Command: ${name}` },
    );
    if (!detectTypescript())
      console.log(
        `the command is \`npx actionhero ${name}\`, after \`npm run build\``,
      );
    return true;
  }
}
