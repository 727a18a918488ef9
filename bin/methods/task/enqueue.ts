import { api } from "../../../src/api";
import { CLI } from "../../../src/cli/cli";
import { isEmbedded } from "../../../src/redis/engine";
import { withProgress } from "../../../src/cli/execute";
import { framework } from "../../framework";
import { givenInputs, jsonInputs, withAllProblems } from "../../inputs";

interface Params {
  name: string;
  args?: Record<string, unknown>;
  _arguments: string[];
}

export class TaskEnqueue extends CLI {
  static readonly takesInputsOf = "task";

  constructor() {
    super();
    this.name = "task-enqueue";
    this.description = "put a task into its queue";
    this.example = "actionhero task-enqueue --name=sendMail --to=1";
    this.inputs = {
      name: {
        required: true,
        letter: "n",
        description: "the name of the task",
      },
      args: jsonInputs,
    };
  }

  async run({ params }: { params: Params }) {
    const { log, task } = framework();
    if (!Object.hasOwn(api.tasks.tasks, params.name))
      throw new Error(`Task "${params.name}" not found`);
    const given = givenInputs("task", params.name, {
      json: params.args,
      words: params._arguments,
    });

    if (isEmbedded(api.redis.clients.tasks))
      log(
        "the queue lives in this process and ends with it: set REDIS_URL to reach that of a server",
        "warning",
      );
    const enqueued = await withProgress((progress) => {
      progress.show(`enqueueing ${params.name}`);
      return task.enqueue(params.name, given).catch((error: unknown) => {
        throw withAllProblems(error);
      });
    });
    log(`enqueued: ${enqueued}`, "info");
    return true;
  }
}
