import { CLI } from "../../../src/cli/cli";
import { jsonObject } from "../../../src/cli/jsonObject";
import { withProgress } from "../../../src/cli/progress";
import { framework } from "../../framework";
import { startWithoutServers } from "../../withoutServers";

interface Params {
  args?: Record<string, unknown>;
  _arguments: string[];
}

export class TaskRun extends CLI {
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "task-run <name>";
    this.description =
      "run a task in this process, without its queue, and print its result";
    this.example = `actionhero task-run runAction --args='{"action": "status"}'`;
    this.inputs = {
      args: {
        letter: "a",
        requiredValue: true,
        description: "its inputs, as a JSON object",
        formatter: jsonObject,
      },
    };
  }

  async run({ params }: { params: Params }) {
    await startWithoutServers();
    const [name] = params._arguments;
    const result: unknown = await withProgress((progress) => {
      progress.show(`running ${name}`);
      return framework().task.run(name!, params.args);
    });
    console.log(JSON.stringify(result ?? null, null, 2));
    return true;
  }
}
