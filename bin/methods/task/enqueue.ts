import { api } from "../../../src/api";
import { CLI } from "../../../src/cli/cli";
import { isEmbedded } from "../../../src/redis/engine";
import { withProgress } from "../../../src/cli/execute";
import { framework } from "../../framework";
import {
  givenInputs,
  jsonInputs,
  requireTarget,
  withAllProblems,
} from "../../inputs";

interface Params {
  name?: string;
  args?: Record<string, unknown>;
  _arguments: string[];
}

export class TaskEnqueue extends CLI {
  static readonly takesInputsOf = "task";

  constructor() {
    super();
    this.name = "task-enqueue [name]";
    this.description = "put a task into its queue";
    this.example = "actionhero task-enqueue sendMail --to=1";
    this.inputs = {
      name: {
        letter: "n",
        requiredValue: true,
        description: "the name of the task, as in version 29",
      },
      args: jsonInputs,
    };
  }

  async run({ params }: { params: Params }) {
    const { log, task } = framework();
    const { name, words } = namedTask(params);
    requireTarget("task", name, `Task "${name}" not found`);
    const given = givenInputs("task", name, { json: params.args, words });

    if (isEmbedded(api.redis.clients.tasks))
      log(
        "the queue lives in this process and ends with it: set REDIS_URL to reach that of a server",
        "warning",
      );
    const enqueued = await withProgress((progress) => {
      progress.show(`enqueueing ${name}`);
      return task.enqueue(name, given).catch((error: unknown) => {
        throw withAllProblems(error);
      });
    });
    log(`enqueued: ${enqueued}`, "info");
    return true;
  }
}

/** The name is the option or, without it, the first word. */
function namedTask({ name, _arguments: words }: Params) {
  if (name !== undefined) return { name, words };
  const [first, ...rest] = words;
  if (first === undefined || first.startsWith("-"))
    throw new Error(
      "which task? Name it, as in `actionhero task-enqueue sendMail`",
    );
  return { name: first, words: rest };
}
