import { CLI } from "../../../src/cli/cli";
import { framework } from "../../framework";

interface Params {
  params?: Record<string, unknown>;
  apiVersion?: string;
  _arguments: string[];
}

export class ActionRun extends CLI {
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
        formatter: parseObject,
      },
      apiVersion: {
        letter: "a",
        requiredValue: true,
        description: "the version of the action (default: the latest)",
      },
    };
  }

  async run({ params }: { params: Params }) {
    const response: unknown = await framework().action.run(
      params._arguments[0]!,
      params.apiVersion,
      params.params ?? {},
    );
    console.log(JSON.stringify(response, null, 2));
    return true;
  }
}

function parseObject(word: string): Record<string, unknown> {
  const value: unknown = JSON.parse(word);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("params must be a JSON object");
  return value as Record<string, unknown>;
}
