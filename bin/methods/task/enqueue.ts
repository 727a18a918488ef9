import { api } from "../../../src/api";
import { CLI } from "../../../src/cli/cli";
import { framework } from "../../framework";

export class TaskEnqueue extends CLI {
  constructor() {
    super();
    this.name = "task-enqueue";
    this.description = "put a task into its queue";
    this.example = `actionhero task-enqueue --name=sendMail --args='{"to": 1}'`;
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the task",
      },
      args: {
        letter: "a",
        requiredValue: true,
        description: "its inputs, as a JSON object",
      },
    };
  }

  async run({ params }: { params: { name: string; args?: string } }) {
    const { log, task } = framework();
    if (!api.tasks.tasks[params.name])
      throw new Error(`Task "${params.name}" not found`);

    const inputs: unknown = params.args ? JSON.parse(params.args) : {};
    const enqueued = await task.enqueue(params.name, inputs as object);
    log(`enqueued: ${enqueued}`, "info");
    return true;
  }
}
