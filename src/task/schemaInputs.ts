/** Tasks whose inputs are a schema: a job stores the original inputs, and each run gets the output of the schema. */
import { NO_TEXT, type InputErrors } from "../input/field";
import { applySchema } from "../input/schemaParams";
import { planOf } from "../input/schemaPlan";
import type { StandardSchema } from "../input/standardSchema";
import { ActionheroError, toError } from "../errors";
import type { Task, TaskInputs } from "./task";

/**
 * @returns the output of the schema
 * @throws ActionheroError AH_TASK naming an input that is missing; Error of the schema for one that is bad
 */
export async function parseInputs(
  { name }: Task,
  schema: StandardSchema,
  inputs: TaskInputs | null | undefined,
): Promise<TaskInputs> {
  const errors: InputErrors = { missingParams: [], validatorErrors: [] };
  const call = { errors, safeParams: [], text: NO_TEXT };
  const parsed = await applySchema(planOf(schema), inputs ?? {}, call);
  const [missing] = errors.missingParams;
  if (missing !== undefined)
    throw new ActionheroError(
      "AH_TASK",
      `${missing} is a required input for task ${name}`,
    );
  if (errors.validatorErrors.length > 0)
    throw toError(errors.validatorErrors[0]);
  return parsed;
}

/** The inputs that the schema knows, as they were given: what is enqueued. */
export function knownInputs(
  schema: StandardSchema,
  inputs: TaskInputs,
): TaskInputs {
  const { names } = planOf(schema);
  if (!names) return inputs;
  return Object.fromEntries(
    Object.entries(inputs).filter(([name]) => names.has(name)),
  );
}
