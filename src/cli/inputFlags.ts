/** The inputs of an action or a task as flags of the command line: `--id=5 --tags a --tags b --address.city=Berlin --urgent`. */
import { coerceArguments } from "../input/schemaParams";
import { planOf, shapeOf, shownJson, tableOf } from "../input/schemaPlan";
import {
  isStandardSchema,
  type JsonSchema,
  type DeclaredInputs,
} from "../input/types";
import { fixedValues, isObject, listOf, resolveRef } from "../input/coercion";
import { latestVersion } from "../action/registry";
import { api } from "../api";
import { didYouMean } from "../utils/closest";

type Values = Record<string, unknown>;

/** The action or task of the inputs. */
interface Target {
  /** Its name, for error messages. */
  name: string;
  /** Whether its table accepts undeclared names, as for a task. */
  isOpen?: boolean;
}

/**
 * Parses flags into inputs. Values are converted as the schema requires; those of a table stay strings.
 * @param inputs undefined if the target does not exist, which is reported separately
 * @throws Error naming a flag that is not an input, or has no value
 */
export function readInputFlags(
  words: readonly string[],
  inputs: DeclaredInputs | undefined,
  target: Target,
): Values {
  if (!inputs) return {};
  const texts: Values = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") continue; // flags after it are inputs, although the command has options of these names
    if (!/^--\w/.test(word))
      throw new Error(`\`${word}\` is no flag of ${target.name}`);
    const [flag, inWord] = split(word.slice(2));
    const path = pathOf(flag, inputs, target);
    let value = inWord;
    if (value === undefined && isSwitch(inputs, flag)) value = "true";
    value ??= valueAfter(words, i++, flag);
    put(texts, path, value);
  }
  coerceArguments(inputs, texts);
  return texts;
}

function split(flag: string): [name: string, value: string | undefined] {
  const equals = flag.indexOf("=");
  return equals === -1
    ? [flag, undefined]
    : [flag.slice(0, equals), flag.slice(equals + 1)];
}

function valueAfter(words: readonly string[], i: number, flag: string): string {
  const next = words[i + 1];
  if (next === undefined || next.startsWith("--"))
    throw new Error(`--${flag} needs a value`);
  return next;
}

/** `address.city` is a property of `address`, unless an input has that name. */
function pathOf(
  flag: string,
  inputs: DeclaredInputs,
  { name: of, isOpen = false }: Target,
): string[] {
  const table = tableOf(inputs);
  if (Object.hasOwn(table, flag)) return [flag];
  const path = flag.split(".");
  const [name] = path as [string];
  const takesOthers = isStandardSchema(inputs) ? !planOf(inputs).names : isOpen;
  const isKnown = Object.hasOwn(table, name) || takesOthers;
  if (isKnown && !path.includes("__proto__")) return path;
  const names = Object.keys(table).map((known) => `--${known}`);
  throw new Error(
    names.length === 0
      ? `${of} has no inputs: --${flag} is none of them`
      : `${of} has no input --${flag}; it has ${names.join(", ")}`,
  );
}

/** A second value of a flag makes a list. */
function put(values: Values, path: readonly string[], value: string): void {
  let target = values;
  for (const key of path.slice(0, -1)) {
    if (typeof target[key] !== "object" || Array.isArray(target[key]))
      target[key] = {};
    target = target[key] as Values;
  }
  const key = path.at(-1)!;
  const earlier = target[key];
  target[key] = Object.hasOwn(target, key)
    ? [...(Array.isArray(earlier) ? (earlier as unknown[]) : [earlier]), value]
    : value;
}

function isSwitch(inputs: DeclaredInputs, flag: string): boolean {
  return schemaOf(inputs, flag.split("."))?.type === "boolean";
}

/** The JSON Schema of an input, or of a property of it. */
function schemaOf(
  inputs: DeclaredInputs,
  path: readonly string[],
): JsonSchema | undefined {
  const [name, ...rest] = path;
  const declared = name === undefined ? undefined : tableOf(inputs)[name];
  const one = declared?.schema;
  const [schema, keys] = isStandardSchema(inputs)
    ? [inputs, path]
    : [one, rest];
  if (!isStandardSchema(schema)) return undefined;
  const root = shownJson(schema);
  let current = root;
  for (const key of keys) {
    const [property] = (current &&
      shapeOf(current, root!)?.properties.get(key)) ?? [undefined];
    current = root && resolveRef(property, root);
  }
  return current;
}

/**
 * One line for each input: its type, whether it is required, its default and its description.
 * @param options names of the command's own options
 */
export function describeInputFlags(
  inputs: DeclaredInputs,
  options: readonly string[] = [],
): string[] {
  const rows = Object.entries(tableOf(inputs)).map(([name, input]) => {
    const schema = schemaOf(inputs, [name]);
    const { description } = (schema ?? input) as { description?: string };
    const notes = [
      description,
      input.required === true && input.default === undefined
        ? "(required)"
        : undefined,
      defaultNote(isStandardSchema(inputs) ? schema?.default : input.default),
      input.file && "(a file: not from the command line)",
      options.includes(name) ? "(write it after --)" : undefined,
    ].filter((note) => note !== undefined);
    return { flag: flagText(name, schema), text: notes.join(" ") };
  });
  const width = Math.max(0, ...rows.map(({ flag }) => flag.length));
  return rows.map(({ flag, text }) =>
    `  ${flag.padEnd(width)}  ${text}`.trimEnd(),
  );
}

function flagText(name: string, schema: JsonSchema | undefined): string {
  if (schema?.type === "boolean") return `--${name}`;
  return `--${name} <${typeText(schema)}>`;
}

/** @param schema may be `true` or `false`, as that of the further items of a tuple */
function typeText(schema: unknown): string {
  if (!isObject(schema)) return "text";
  const values = fixedValues(schema);
  if (values.length > 0) return values.map(String).join("|");
  const options = listOf(schema.anyOf ?? schema.oneOf);
  if (options.length > 0) {
    const others = options.filter(
      (option) => !isObject(option) || option.type !== "null",
    );
    return [...new Set(others.map(typeText))].join("|");
  }
  if (schema.type === "array")
    return `${itemText(schema.items)}, may be repeated`;
  if (schema.type === "object") return "its properties as --name.property";
  return typeof schema.type === "string" ? schema.type : "text";
}

function itemText(items: unknown): string {
  const values = isObject(items) ? fixedValues(items) : [];
  return values.length > 0 ? values.map(String).join("|") : "value";
}

function defaultNote(value: unknown): string | undefined {
  if (value === undefined || typeof value === "function") return undefined;
  return `(default: ${JSON.stringify(value)})`;
}

// --- The names and inputs of the actions and tasks of a loaded project.

export function namesOf(kind: "action" | "task"): string[] {
  return Object.keys(kind === "task" ? api.tasks.tasks : api.actions.actions);
}

/** @throws Error with the probable name if there is no such action or task */
export function requireName(
  kind: "action" | "task",
  name: string,
  problem = `there is no ${kind} \`${name}\``,
): void {
  const names = namesOf(kind);
  if (!names.includes(name))
    throw new Error(`${problem}${didYouMean(name, names)}`);
}

/** @returns undefined if the action or task does not exist */
export function findInputs(
  kind: "action" | "task",
  name: string,
  version?: string | number,
): DeclaredInputs | undefined {
  const found =
    kind === "task"
      ? own(api.tasks.tasks, name)
      : own(
          own(api.actions.actions, name) ?? {},
          String(version ?? latestVersion(name)),
        );
  return found && (found.inputs ?? {});
}

function own<T>(values: { [name: string]: T }, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
