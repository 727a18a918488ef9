/** Checks the params of a request against the inputs of its action. */
import { api } from "../api";
import { settings } from "../config/settings";
import { isMistake } from "../exposure/errors";
import {
  applyInputs,
  isReduced,
  reduceParams,
  type InputCall,
  type SafeParams,
  type TextParams,
  textParamsOf,
} from "../input/field";
import { applySchema } from "../input/schemaParams";
import { planOf } from "../input/schemaPlan";
import { isStandardSchema, type Inputs } from "../input/types";
import { isThenable } from "../utils/promises";
import type { Connection } from "../connection/connection";
import type { ActionProcessor } from "./actionProcessor";
import { serverOf } from "./admission";
import { globalSafeParams } from "./safeParams";
import { ActionsStatus } from "./status";

const NO_INPUTS: Inputs = {};

/**
 * Check the params, and replace them by the valid ones.
 * @param arrivedParams the value of `connection.params` when the request arrived
 * @param own the params if they may be modified in place
 * @returns a promise only if a schema, formatter, validator or default is async
 */
export function checkParams(
  data: ActionProcessor,
  arrivedParams: object,
  own: object | undefined,
): void | PromiseLike<void> {
  const action = data.actionTemplate as { inputs?: Inputs };
  const inputs = action.inputs ?? NO_INPUTS;
  const safeParams = api.params?.globalSafeParams ?? globalSafeParams;
  if (isStandardSchema(inputs)) {
    const text = textOf(data.connection, arrivedParams);
    const call = { errors: data, safeParams, text };
    const checked = applySchema(planOf(inputs), data.params, call);
    if (isThenable(checked))
      return checked.then((params) => void (data.params = params as never));
    data.params = checked;
    return undefined;
  }
  // most requests have no params but those of their action: then a copy would cost as much as the checks
  if (
    data.params !== own ||
    Object.isFrozen(data.params) ||
    !isReduced(data.params, inputs, safeParams)
  )
    data.params = reduceParams(data.params, inputs, safeParams);
  const call = new ParamsCall(data, safeParams, arrivedParams);
  return applyInputs(inputs, data.params, call);
}

/**
 * Freeze the checked params.
 * @returns the status if the action must not run, otherwise undefined
 * @throws the error of a validator that failed by a bug: it is hidden from clients
 */
export function lockAndJudge(data: ActionProcessor): ActionsStatus | undefined {
  data.lockParams();
  if (data.missingParams.length > 0) return ActionsStatus.MissingParams;
  if (data.validatorErrors.length > 0) {
    throwMistake(data.validatorErrors);
    return ActionsStatus.ValidatorErrors;
  }
  return data.toProcess === true ? undefined : ActionsStatus.Complete;
}

function throwMistake(validatorErrors: unknown[]): void {
  if (settings().errors.exposeMessages !== "intended") return;
  const mistake = validatorErrors.find(isMistake);
  if (mistake) throw mistake;
}

/** Whether an action failed because of its params. */
export function isOfParams(status: ActionsStatus): boolean {
  return (
    status === ActionsStatus.MissingParams ||
    status === ActionsStatus.ValidatorErrors
  );
}

/** How the inputs of an action are applied to the params of a request. */
class ParamsCall implements InputCall {
  readonly scope: unknown;

  constructor(
    readonly errors: ActionProcessor,
    readonly safeParams: SafeParams,
    private readonly arrivedParams: object,
  ) {
    this.scope = errors;
  }

  text(): TextParams {
    return textOf(this.errors.connection, this.arrivedParams);
  }
}

/** The params of a request that are strings. */
function textOf(connection: Connection, arrivedParams: object): TextParams {
  const server = serverOf(connection);
  return (
    server?.textParams?.(connection, arrivedParams) ??
    textParamsOf(arrivedParams)
  );
}
