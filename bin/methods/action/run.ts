import { CLI } from "../../../src/cli/cli";
import { jsonObject } from "../../../src/cli/runner";
import { withProgress } from "../../../src/cli/execute";
import { framework } from "../../framework";
import { givenInputs, requireTarget, withAllProblems } from "../../inputs";
import { startWithoutServers } from "../../withoutServers";

interface Params {
  params?: Record<string, unknown>;
  apiVersion?: string;
  _arguments: string[];
}

export class ActionRun extends CLI {
  static readonly printsData = true;
  static readonly takesInputsOf = "action";

  constructor() {
    super();
    this.name = "action-run <name>";
    this.description = "run an action in this process and print its response";
    this.example = "actionhero action-run cacheTest --key=colour --value=blue";
    this.inputs = {
      params: {
        letter: "p",
        requiredValue: true,
        description:
          "the params as a JSON object; each is a flag of its own, too",
        formatter: jsonObject,
      },
      apiVersion: {
        letter: "a",
        requiredValue: true,
        description: "the version of the action (default: the latest)",
      },
    };
  }

  async run({ params }: { params: Params }) {
    const [name, ...words] = params._arguments;
    requireTarget("action", name!);
    await startWithoutServers();
    const given = givenInputs("action", name!, {
      json: params.params,
      words,
      version: params.apiVersion,
    });
    const response: unknown = await withProgress((progress) => {
      progress.show(`running ${name}`);
      return framework()
        .action.run(name!, params.apiVersion, given)
        .catch((error: Error) => {
          const { errors } = error as { errors?: unknown };
          // the action's own error, without the wrapping
          const own = error.cause ?? error;
          throw withAllProblems(own, errors);
        });
    });
    console.log(JSON.stringify(response, null, 2));
    return true;
  }
}
