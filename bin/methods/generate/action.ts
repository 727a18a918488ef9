import { CLI } from "../../../src/cli/cli";
import { generateComponent } from "../../../src/cli/generate/component";

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
    };
  }

  async run({ params }: { params: { name: string; description: string } }) {
    const { name, description } = params;
    generateComponent(
      [
        { template: "action.ts", path: "action" },
        { template: "test/action.ts", path: "test", folder: "actions" },
      ],
      { name, description, testTitle: `Action: ${name}` },
    );
    return true;
  }
}
