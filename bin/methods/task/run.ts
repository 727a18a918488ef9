import { CLI } from "../../../src/cli/cli";
import { withProgress } from "../../../src/cli/execute";
import { framework } from "../../framework";
import {
  givenInputs,
  jsonInputs,
  requireTarget,
  withAllProblems,
} from "../../inputs";
import { startWithoutServers } from "../../withoutServers";

interface Params {
  args?: Record<string, unknown>;
  _arguments: string[];
}

export class TaskRun extends CLI {
  static readonly printsData = true;
  static readonly takesInputsOf = "task";

  constructor() {
    super();
    this.name = "task-run <name>";
    this.description =
      "run a task in this process, without its queue, and print its result";
    this.example = "actionhero task-run runAction --action=status";
    this.inputs = {
      args: jsonInputs,
    };
  }

  async run({ params }: { params: Params }) {
    const [name, ...words] = params._arguments;
    requireTarget("task", name!);
    await startWithoutServers();
    const given = givenInputs("task", name!, { json: params.args, words });
    const result: unknown = await withProgress((progress) => {
      progress.show(`running ${name}`);
      return framework()
        .task.run(name!, given)
        .catch((error: unknown) => {
          throw withAllProblems(error);
        });
    });
    console.log(JSON.stringify(result ?? null, null, 2));
    return true;
  }
}
