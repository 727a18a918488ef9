import { CLI } from "../../../src/cli/cli";
import {
  generateComponent,
  classInput,
  templateOf,
} from "../../../src/cli/generate/component";

interface Params {
  name: string;
  description: string;
  class?: boolean;
}

export class GenerateAction extends CLI {
  constructor() {
    super();
    this.name = "generate-action";
    this.description = "write a new action and its test";
    this.example =
      'actionhero generate-action --name=listUsers --description="all users"';
    this.initialize = false;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the action, and of its file",
      },
      description: {
        letter: "d",
        default: "an actionhero action",
        requiredValue: true,
        description: "what the action does",
      },
      class: classInput,
    };
  }

  async run({ params }: { params: Params }) {
    const { name, description } = params;
    // loaded here, because loading it is what builds the configuration
    const { connectionVerbs } =
      require("../../../src/connection/verbs") as typeof import("../../../src/connection/verbs");
    if ((connectionVerbs as readonly string[]).includes(name))
      throw new Error(
        `\`${name}\` is a verb of connections: choose another name`,
      );
    generateComponent(
      [
        { template: templateOf("action", params.class), path: "action" },
        { template: "test/action.ts", path: "test", folder: "actions" },
      ],
      { name, description, testTitle: `Action: ${name}` },
    );
    return true;
  }
}
