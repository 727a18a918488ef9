/** What the flags of a command give for the inputs of an action or a task. */

interface Given {
  /** From the JSON of an option; flags go before it. */
  json: Record<string, unknown> | undefined;
  /** What the command did not take for options of its own. */
  words: readonly string[];
  version?: string;
}

/** @throws Error naming a flag that is no input, or has no value */
export function givenInputs(
  kind: "action" | "task",
  name: string,
  { json, words, version }: Given,
): Record<string, unknown> {
  // loaded here, because loading it is what builds the configuration
  const { findInputs } =
    require("../src/cli/findInputs") as typeof import("../src/cli/findInputs");
  const { readInputFlags } =
    require("../src/cli/inputFlags") as typeof import("../src/cli/inputFlags");
  const inputs = findInputs(kind, name, version);
  const flags = readInputFlags(words, inputs, {
    name,
    isOpen: kind === "task",
  });
  return { ...json, ...flags };
}
