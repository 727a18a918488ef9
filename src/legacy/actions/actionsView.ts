import { Action } from "../../action/action";
import type { ActionProcessor } from "../../action/actionProcessor";
import { latestVersion } from "../../action/registry";
import { api } from "../../api";
import { settings } from "../../config/settings";
import { HttpError } from "../../errors";
import { tableOf } from "../../input/schemaPlan";
import type { Inputs } from "../../input/types";

/** Lists the actions in the format of version 3. */
export class ActionsView extends Action {
  constructor() {
    super();
    this.name = "actionsView";
    this.description = "Lists the actions";
    this.outputExample = {
      actions: [{ name: "a", description: "b", inputs: {}, outputExample: {} }],
    };
    this.toDocument = false;
  }

  override async run({ connection }: Pick<ActionProcessor, "connection">) {
    if (!settings().general.introspection)
      throw new HttpError(404, "this server does not describe its API");
    const actions = Object.keys(api.actions.actions)
      .map((name) => api.actions.actions[name]![latestVersion(name)!])
      .filter((action) => action && action.toDocument !== false)
      .map((action) => describe(action!))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const verbs = api.servers.servers[connection.type]?.attributes.verbs ?? [];
    return verbs.length > 0 ? { actions, verbs } : { actions };
  }
}

function describe({ name, description, inputs, outputExample }: Action) {
  return {
    name,
    description,
    inputs: namesOf(tableOf(inputs)),
    outputExample: (outputExample ?? {}) as object,
  };
}

function namesOf(inputs: Inputs) {
  const names = Object.keys(inputs);
  const isRequired = (name: string) => inputs[name]!.required === true;
  return {
    required: names.filter(isRequired),
    optional: names.filter((name) => !isRequired(name)),
  };
}
