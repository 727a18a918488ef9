/** The response of an action with an `output` schema: checked while it is developed, and without what the schema does not name. */
import { env } from "../config/config";
import type { InputErrors } from "../input/field";
import { isThenable } from "../utils/promises";
import { compilePruner } from "../input/pruning";
import { checkValue } from "../input/schemaCheck";
import { planOf } from "../input/schemaPlan";
import {
  isStandardSchema,
  jsonSchemaOf,
  type StandardSchema,
} from "../input/standardSchema";
import type { Action } from "./action";

type Prune = (value: unknown) => unknown;

const pruners = new WeakMap<StandardSchema, Prune>();

/** The schema of what an action responds, if it has one. */
export function outputOf(action: Action): StandardSchema | undefined {
  const { output } = action as { output?: unknown };
  return isStandardSchema(output) ? output : undefined;
}

/** Compiled when an action is registered, or when it first responds. */
export function prunerOf(schema: StandardSchema): Prune {
  let prune = pruners.get(schema);
  if (!prune) {
    const json = jsonSchemaOf(schema, "output");
    prune = json ? compilePruner(json) : (value) => value;
    pruners.set(schema, prune);
  }
  return prune;
}

/**
 * What is sent of a response. In production the schema is not asked.
 * @throws Error naming the property that does not fit, at once or later
 */
export function fitted(
  action: Action,
  schema: StandardSchema,
  response: unknown,
  isChecked = env !== "production",
): unknown {
  const prune = prunerOf(schema);
  if (!isChecked) return prune(response);
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  const checked = checkValue(planOf(schema), response, errors, "");
  const conclude = () => {
    const [missing] = errors.missingParams;
    const wrong =
      missing === undefined
        ? (errors.validatorErrors[0] as Error | undefined)?.message
        : `${missing} is missing`;
    if (wrong !== undefined)
      throw new Error(
        `the response of the action \`${action.name}\` does not fit its output: ${wrong}`,
      );
    return prune(response);
  };
  return isThenable(checked) ? checked.then(conclude) : conclude();
}
