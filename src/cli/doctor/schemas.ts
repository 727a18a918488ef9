/** Checks of schemas: each can be described, so that the framework does for it what it does for others. */
import type { Action } from "../../action/action";
import { outputGap } from "../../action/output";
import { errorText } from "../../errors";
import { planOf, tableOf } from "../../input/schemaPlan";
import { failureOf, isStandardSchema } from "../../input/standardSchema";
import type { DeclaredInputs } from "../../input/types";
import type { Task } from "../../task/task";
import { ok, warn, type Finding } from "./finding";

/** @param actions every version of each */
export function checkSchemas(
  actions: readonly Action[],
  tasks: readonly Task[],
): Finding[] {
  const gaps = [
    ...actions.flatMap((action) => [
      ...inputGaps(`the action \`${action.name}\``, action.inputs),
      outputGap(action) ?? [],
    ]),
    ...tasks.map(({ name, inputs }) =>
      inputGaps(`the task \`${name}\``, inputs),
    ),
  ].flat();
  if (gaps.length > 0) return gaps.map((message) => warn("schemas", message));
  return [ok("schemas", "all can be described")];
}

function inputGaps(
  owner: string,
  inputs: DeclaredInputs | null | undefined,
): string[] {
  const named: [string, unknown][] = Object.entries(tableOf(inputs)).map(
    ([name, { schema }]) => [`the input \`${name}\``, schema],
  );
  named.unshift(["the inputs", inputs]);
  return named.flatMap(([what, schema]) => {
    if (!isStandardSchema(schema)) return [];
    const { json } = planOf(schema);
    const failure = failureOf(schema);
    if (json && !failure) return [];
    const reason = failure
      ? errorText(failure)
      : `its library (${schema["~standard"].vendor}) provides none`;
    return `${what} of ${owner} cannot be described as a JSON Schema (${reason}): texts of ${json ? "some" : "all"} properties are not coerced`;
  });
}
