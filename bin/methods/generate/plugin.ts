import { CLI } from "../../../src/cli/cli";
import { generatePlugin } from "../../../src/cli/generate/project";

export class GeneratePlugin extends CLI {
  static readonly needsProject = false;

  constructor() {
    super();
    this.name = "generate-plugin";
    this.description = "make a new plugin in this folder";
    this.example =
      "mkdir my-plugin && cd my-plugin && actionhero generate-plugin";
    this.initialize = false;
    this.inputs = {
      name: {
        letter: "n",
        requiredValue: true,
        description:
          "the name of the plugin's package (default: that of its package.json, else my_actionhero_plugin)",
      },
    };
  }

  async run({ params }: { params: { name?: string } }) {
    generatePlugin(process.cwd(), params.name);
    return true;
  }
}
