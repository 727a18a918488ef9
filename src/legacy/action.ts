/** Actions of the style of version 3: `{ name, description, inputs: { required, optional }, run(api, connection, next) }`. */
import { Action, type ActionResponse } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { globalSafeParams } from "../action/safeParams";
import { ActionsStatus, errorForStatus } from "../action/status";
import { api } from "../api";
import { toError } from "../errors";
import { isMissing } from "../input/field";
import type { Inputs } from "../input/types";
import { untilNext, type Next } from "./callbacks";
import { legacyConnection, type LegacyConnection } from "./connection";

export interface LegacyAction {
  name: string;
  description?: string;
  /** Lists of names; the inputs of today are understood, too. */
  inputs?: { required?: string[]; optional?: string[] } | Inputs;
  outputExample?: any;
  /** `next(connection, toRender)` ends it; `toRender` false: nothing is sent. */
  run: (api: any, connection: LegacyConnection, next: Next) => unknown;
  [property: string]: any;
}

/**
 * A class of today for an action of old.
 * @throws Error for an invalid action
 */
export function fromLegacyAction(legacy: LegacyAction): new () => Action {
  if (typeof legacy?.run !== "function")
    throw new Error(`action \`${legacy?.name}\` has no run method`);
  const { run, ...settings } = legacy;
  const inputs = inputsOf(legacy);
  const needed = safeAndRequired(legacy);

  return class extends Action {
    constructor() {
      super();
      Object.assign(this, settings, { inputs });
      this.description = legacy.description ?? legacy.name;
    }

    override async run(data: ActionProcessor<any>): Promise<ActionResponse> {
      data.missingParams = needed.filter((name) =>
        isMissing(data.params[name]),
      );
      if (data.missingParams.length > 0)
        throw await errorForStatus(
          ActionsStatus.MissingParams,
          data,
          undefined,
        );
      const connection = legacyConnection(data);
      const outcome = await untilNext(
        (next) => run.call(legacy, api, connection, next),
        run.length > 2,
      );
      const [, toRender] = outcome as [unknown, unknown];
      if (toRender === false) data.toRender = false;
      if (connection.response instanceof Error) throw connection.response;
      Object.assign(data.response as object, connection.response);
      const { error } = connection;
      if (error) throw typeof error === "object" ? error : toError(error);
    }
  };
}

function inputsOf({ inputs = {} }: LegacyAction): Inputs {
  const { required, optional } = inputs;
  if (!Array.isArray(required) && !Array.isArray(optional))
    return inputs as Inputs;
  const names = [...listOf(optional), ...listOf(required)];
  return Object.fromEntries(
    names
      .filter((name) => !globalSafeParams.includes(name))
      .map((name) => [name, { required: listOf(required).includes(name) }]),
  );
}

/** Params that every action takes may not be declared any more, but may still be needed. */
function safeAndRequired({ inputs = {} }: LegacyAction): string[] {
  return listOf((inputs as { required?: unknown }).required).filter((name) =>
    globalSafeParams.includes(name),
  );
}

function listOf(names: unknown): string[] {
  return Array.isArray(names) ? (names as string[]) : [];
}
