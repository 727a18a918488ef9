import { CLI } from "../../../src/cli/cli";
import { jsonObject } from "../../../src/cli/jsonObject";
import { withProgress } from "../../../src/cli/progress";
import { framework } from "../../framework";
import { startWithoutServers } from "../../withoutServers";

interface Params {
  params?: Record<string, unknown>;
  apiVersion?: string;
  _arguments: string[];
}

export class ActionRun extends CLI {
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "action-run <name>";
    this.description = "run an action in this process and print its response";
    this.example = `actionhero action-run cacheTest --params='{"key": "colour", "value": "blue"}'`;
    this.inputs = {
      params: {
        letter: "p",
        requiredValue: true,
        description: "the params of the action, as a JSON object",
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
    await startWithoutServers();
    const [name] = params._arguments;
    const response: unknown = await withProgress((progress) => {
      progress.show(`running ${name}`);
      return framework()
        .action.run(name!, params.apiVersion, params.params ?? {})
        .catch((error: Error) => {
          throw (error.cause as Error | undefined) ?? error; // the action's own error, without the wrapping
        });
    });
    console.log(JSON.stringify(response, null, 2));
    return true;
  }
}
