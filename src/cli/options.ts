/** Converts the inputs of a command into commander's options. */
import { InvalidArgumentError, Option } from "commander";
import { toError } from "../errors";
import type { CLIInput } from "./cli";

/**
 * One input as an option: its flags, default, and the pipeline formatter -> validator for each
 * argument.
 * @throws Error when a flag has no letter
 */
export function optionFor(key: string, input: CLIInput): Option {
  const option = new Option(optionFlags(key, input), input.description);
  if (input.default !== undefined) option.default(input.default);
  if (input.required) option.makeOptionMandatory();
  if (!input.flag && (input.variadic || input.formatter || input.validator)) {
    option.argParser<unknown>((word, previous) =>
      input.variadic
        ? appendWord(word, previous, input)
        : readWord(word, input),
    );
  }
  return option;
}

function optionFlags(key: string, input: CLIInput): string {
  if (input.flag && !input.letter) {
    throw new Error(
      `flag inputs require a short letter (${JSON.stringify(input)})`,
    );
  }
  const names = `${input.letter ? `-${input.letter}, ` : ""}--${key}`;
  if (input.flag) return names;

  const value = `${input.placeholder || key}${input.variadic ? "..." : ""}`;
  return input.required || input.requiredValue
    ? `${names} <${value}>`
    : `${names} [${value}]`;
}

/** The default is not an argument: the first argument starts a new list. */
function appendWord(
  word: string,
  previous: unknown,
  input: CLIInput,
): unknown[] {
  const earlier =
    Array.isArray(previous) && previous !== (input.default as unknown)
      ? (previous as unknown[])
      : [];
  return [...earlier, readWord(word, input)];
}

function readWord(word: string, input: CLIInput): unknown {
  try {
    const value: unknown = input.formatter ? input.formatter(word) : word;
    refuseInvalid(input.validator?.(value));
    return value;
  } catch (error) {
    throw new InvalidArgumentError(toError(error).message);
  }
}

/** A validator may throw, or return false or the message, like validators of actions. */
function refuseInvalid(verdict: unknown): void {
  if (verdict === false) throw new Error("it failed validation");
  if (typeof verdict === "string" || verdict instanceof Error)
    throw toError(verdict);
}
