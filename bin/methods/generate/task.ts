import { CLI } from "../../../src/cli/cli";
import {
  generateComponent,
  classInput,
  refuseOwnName,
  templateOf,
} from "../../../src/cli/generate/component";
import { wholeNumber } from "../../../src/cli/runner";

interface Params {
  name: string;
  queue: string;
  description: string;
  frequency: string;
  class?: boolean;
}

export class GenerateTask extends CLI {
  constructor() {
    super();
    this.name = "generate-task";
    this.description = "write a new task and its test";
    this.example =
      "actionhero generate-task --name=sendMail --queue=mail --frequency=60000";
    this.initialize = false;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the task, and of its file",
      },
      queue: {
        letter: "q",
        default: "default",
        requiredValue: true,
        description: "the queue that the task waits in",
      },
      description: {
        letter: "d",
        default: "an actionhero task",
        requiredValue: true,
        description: "what the task does",
      },
      frequency: {
        letter: "f",
        default: "0",
        requiredValue: true,
        description: "how often it runs by itself, in ms; 0 for never",
      },
      class: classInput,
    };
  }

  async run({ params }: { params: Params }) {
    const { name, queue, description } = params;
    refuseOwnName("task", name);
    generateComponent(
      [
        { template: templateOf("task", params.class), path: "task" },
        { template: "test/task.ts", path: "test", folder: "tasks" },
      ],
      {
        name,
        queue,
        description,
        frequency: wholeNumber(params.frequency),
        testTitle: `Task: ${name}`,
      },
    );
    return true;
  }
}
