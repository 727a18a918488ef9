import { api } from "../../../src/api";
import { CLI } from "../../../src/cli/cli";
import { tableOf } from "../../../src/input/schemaPlan";
import type { DeclaredInputs } from "../../../src/input/types";

interface ListedAction {
  description?: string;
  inputs?: DeclaredInputs;
}

export class ActionsList extends CLI {
  static readonly printsData = true;

  constructor() {
    super();
    this.name = "actions-list";
    this.description = "list the actions with their versions and inputs";
    this.example = "actionhero actions-list --json";
    this.inputs = {
      json: { flag: true, letter: "j", description: "print JSON" },
    };
  }

  async run({ params }: { params: { json?: boolean } }) {
    const { actions, versions } = api.actions;
    const names = Object.keys(actions).sort();
    if (params.json) {
      console.log(JSON.stringify(names.flatMap(describeVersions), null, 2));
      return true;
    }
    for (const name of names) {
      console.log(`\r\n--- ${name} ---`);
      for (const version of versions[name]!) {
        const action: ListedAction = actions[name]![version]!;
        console.log(`  version: ${version}`);
        console.log(`    ${action.description}`);
        console.log("    inputs:");
        for (const [input, settings] of Object.entries(tableOf(action.inputs)))
          console.log(`      ${input}: ${JSON.stringify(settings)}`);
      }
    }
    return true;
  }
}

function describeVersions(name: string) {
  return api.actions.versions[name]!.map((version) => {
    const action: ListedAction = api.actions.actions[name]![version]!;
    const { description, inputs } = action;
    return { name, version, description, inputs: tableOf(inputs) };
  });
}
