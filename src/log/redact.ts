/** Replaces the values that `config.general.filteredParams` names, wherever they lie. */
import { isPlainObject } from "../utils/objects";

const REPLACEMENT = "[FILTERED]";

/** One step of a path, and the rest of it. */
interface Step {
  /** A name, patterns of names, or undefined for any number of levels. */
  name: string | Patterns | undefined;
  next: Step | undefined;
}

/**
 * Names that were looked up are remembered up to this many, each of at most that many letters: more than one request has
 * (`web.maxParams`), as a TCP client sends its params once for any number of lines.
 */
const MAX_REMEMBERED = 20_000;
const MAX_REMEMBERED_LENGTH = 64;

/**
 * Names with `*` for any number of characters, in upper and lower case. Clients choose the keys that are looked up: each
 * takes time in proportion to its length, which a regular expression of several wildcards does not promise.
 */
class Patterns {
  private readonly patterns: string[][];
  private readonly remembered = new Map<string, boolean>();

  constructor(names: readonly string[]) {
    this.patterns = names.map((name) => name.toLowerCase().split(/\*+/));
  }

  has(key: string): boolean {
    const known = this.remembered.get(key);
    if (known !== undefined) return known;
    const lower = key.toLowerCase();
    const found = this.patterns.some((parts) => containsInOrder(lower, parts));
    if (key.length <= MAX_REMEMBERED_LENGTH) {
      if (this.remembered.size >= MAX_REMEMBERED) this.remembered.clear();
      this.remembered.set(key, found);
    }
    return found;
  }
}

/** @param parts the first begins the text, the last ends it, the others lie between them, each behind the one before */
function containsInOrder(text: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (parts.length === 1) return text === first;
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let from = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return from <= text.length - last.length;
}

/** Few lists are in use, each for many values. */
const MAX_COMPILED = 8;
const compiled = new Map<string, Step[]>();

/**
 * A copy of a value without what the paths name; what lies beside them is shared. A path is names with dots between
 * them. `*` in a name is any number of characters, and the name then counts in upper and lower case; a step `**` is any
 * number of levels. A path goes through lists to each of their elements.
 */
export function redact(value: unknown, paths: readonly string[]): unknown {
  return walk(value, stepsOf(paths), new Set());
}

function stepsOf(paths: readonly string[]): Step[] {
  const key = paths.join("\n");
  let steps = compiled.get(key);
  if (!steps) {
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    compiled.set(key, (steps = compile(paths)));
  }
  return steps;
}

function compile(paths: readonly string[]): Step[] {
  const anywhere: string[] = [];
  const steps: Step[] = [];
  for (const path of paths) {
    const names = path.split(".");
    if (names.length === 2 && names[0] === "**" && names[1] !== "**")
      anywhere.push(names[1]!);
    else steps.push(chainOf(names)!);
  }
  // one step for all names that count on every level: every key is looked up in it
  if (anywhere.length > 0) {
    const name = new Patterns(anywhere);
    steps.push({ name: undefined, next: { name, next: undefined } });
  }
  return steps;
}

function chainOf([name, ...rest]: readonly string[]): Step | undefined {
  if (name === undefined) return undefined;
  const next = chainOf(rest);
  if (name === "**") return { name: undefined, next };
  if (!name.includes("*")) return { name, next };
  return { name: new Patterns([name]), next };
}

/** @param above the objects on the way, in case they form a circle */
function walk(
  value: unknown,
  steps: readonly Step[],
  above: Set<unknown>,
): unknown {
  const isList = Array.isArray(value);
  if ((!isList && !isPlainObject(value)) || above.has(value)) return value;
  above.add(value);
  const source = value as Record<string, unknown>;
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(source)) {
    const below = advance(steps, key);
    if (isList && below) for (const step of steps) addOnce(below, step);
    const old = source[key];
    const shown =
      below === undefined
        ? REPLACEMENT
        : below.length > 0
          ? walk(old, below, above)
          : old;
    if (shown === old) continue;
    copy ??= (isList ? [...(value as unknown[])] : { ...source }) as Record<
      string,
      unknown
    >;
    copy[key] = shown;
  }
  above.delete(value);
  return copy ?? value;
}

/** The steps that are left below a key; undefined when a path ends at it. */
function advance(steps: readonly Step[], key: string): Step[] | undefined {
  const left: Step[] = [];
  for (const step of steps) {
    if (step.name === undefined) addOnce(left, step);
    const here = step.name === undefined ? step.next : step;
    if (here !== undefined && !matches(here.name, key)) continue;
    if (here?.next === undefined) return undefined;
    addOnce(left, here.next);
  }
  return left;
}

/** Each step once, however deep the value is: there are as many as the paths have names. */
function addOnce(steps: Step[], step: Step): void {
  if (!steps.includes(step)) steps.push(step);
}

function matches(name: Step["name"], key: string): boolean {
  if (name === undefined) return true;
  return typeof name === "string" ? name === key : name.has(key);
}
