/** Reads the inputs of an action or a task from the flags of a command. */
import type { ListedError } from "../src/action/report";
import type * as inputFlags from "../src/cli/inputFlags";
import { jsonObject } from "../src/cli/runner";
import { FRAMEWORK_FLAGS, flagValues } from "../src/environment/env";

/** The option of commands that takes the inputs of a task as JSON. */
export const jsonInputs = {
  letter: "a",
  requiredValue: true,
  description: "its inputs as a JSON object; each is a flag of its own, too",
  formatter: jsonObject,
};

interface Given {
  /** From the JSON of an option; flags go before it. */
  json: Record<string, unknown> | undefined;
  /** The flags that are not options of the command itself. */
  words: readonly string[];
  version?: string;
}

/** @throws Error with the probable name if there is no such action or task */
export function requireTarget(
  ...target: Parameters<typeof inputFlags.requireName>
): void {
  // loaded here, because loading it is what builds the configuration
  const { requireName } = require("../src/cli/inputFlags") as typeof inputFlags;
  requireName(...target);
}

/** @throws Error naming a flag that is not an input, has no value, or was taken for an option of the framework */
export function givenInputs(
  kind: "action" | "task",
  name: string,
  { json, words, version }: Given,
): Record<string, unknown> {
  // loaded here, because loading it is what builds the configuration
  const { findInputs, readInputFlags } =
    require("../src/cli/inputFlags") as typeof inputFlags;
  const { tableOf } =
    require("../src/input/schemaPlan") as typeof import("../src/input/schemaPlan");
  const inputs = findInputs(kind, name, version);
  const flags = readInputFlags(words, inputs, {
    name,
    isOpen: kind === "task",
  });
  const given = { ...json, ...flags };
  const taken = FRAMEWORK_FLAGS.find(
    (flag) =>
      inputs &&
      Object.hasOwn(tableOf(inputs), flag) &&
      !Object.hasOwn(given, flag) &&
      flagValues(flag).length > 0,
  );
  if (taken)
    throw new Error(
      `--${taken} is an option of actionhero: write the input of ${name} after --, as in \`-- --${taken}=...\``,
    );
  return given;
}

/**
 * An error with a line for each of its problems, if there are several.
 * @param errors the problems (default: those that it lists)
 */
export function withAllProblems(
  thrown: unknown,
  errors: unknown = (Object(thrown) as { errors?: unknown }).errors,
): unknown {
  if (!Array.isArray(errors) || errors.length < 2) return thrown;
  const lines = (errors as ListedError[]).map(({ path, message }) =>
    message.startsWith(`${path} `) ? `  ${message}` : `  ${path}: ${message}`,
  );
  return new Error([`${errors.length} inputs are bad:`, ...lines].join("\n"), {
    cause: thrown,
  });
}
