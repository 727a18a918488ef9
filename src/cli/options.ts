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

/** A JSON object from a word of the command line. */
export function jsonObject(word: string): Record<string, unknown> {
  const value: unknown = JSON.parse(word);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("it must be a JSON object");
  return value as Record<string, unknown>;
}

/** A whole number from a word of the command line. */
export function wholeNumber(word: string): number {
  const value = Number(word);
  if (word.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`\`${word}\` is not a whole number`);
  return value;
}

// --- Plain text tables for listing commands.

/** Rows of equal keys as columns under their names, two spaces apart. */
export function formatTable<R extends object>(rows: readonly R[]): string {
  if (rows.length === 0) return "(none)";
  const columns = Object.keys(rows[0]!) as (keyof R & string)[];
  const widths = columns.map((column) =>
    Math.max(column.length, ...rows.map((row) => String(row[column]).length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return [
    line(columns),
    line(widths.map((width) => "-".repeat(width))),
    ...rows.map((row) => line(columns.map((column) => String(row[column])))),
  ].join("\n");
}
