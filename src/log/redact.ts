/** Replaces the values that `config.general.filteredParams` names, wherever they lie. */
import { isPlainObject } from "../utils/isPlainObject";

const REPLACEMENT = "[FILTERED]";

/** One step of a path, and the rest of it. */
interface Step {
  /** A name, a pattern of names, or undefined for any number of levels. */
  name: string | RegExp | undefined;
  next: Step | undefined;
}

let compiledKey: string | undefined;
let compiled: Step[] = [];

/**
 * A copy of a value without what the paths name; what lies beside them is shared. A path is names with dots between
 * them. `*` in a name is any number of characters, and the name then counts in upper and lower case; a step `**` is any
 * number of levels. A path goes through lists to each of their elements.
 */
export function redact(value: unknown, paths: readonly string[]): unknown {
  const key = paths.join("\n");
  if (key !== compiledKey) {
    compiled = compile(paths);
    compiledKey = key;
  }
  return walk(value, compiled, new Set());
}

function compile(paths: readonly string[]): Step[] {
  const anywhere: string[] = [];
  const steps: Step[] = [];
  for (const path of paths) {
    const names = path.split(".");
    if (names.length === 2 && names[0] === "**" && names[1] !== "**")
      anywhere.push(sourceOf(names[1]!));
    else steps.push(chainOf(names)!);
  }
  // one pattern for all names that count on every level: every key is compared with it
  if (anywhere.length > 0) {
    const name = new RegExp(`^(?:${anywhere.join("|")})$`, "i");
    steps.push({ name: undefined, next: { name, next: undefined } });
  }
  return steps;
}

function chainOf([name, ...rest]: readonly string[]): Step | undefined {
  if (name === undefined) return undefined;
  const next = chainOf(rest);
  if (name === "**") return { name: undefined, next };
  if (!name.includes("*")) return { name, next };
  return { name: new RegExp(`^${sourceOf(name)}$`, "i"), next };
}

function sourceOf(name: string): string {
  return name
    .split(/\*+/)
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"))
    .join(".*");
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
    if (isList) below?.push(...steps);
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
    if (step.name === undefined) left.push(step);
    const here = step.name === undefined ? step.next : step;
    if (here !== undefined && !matches(here.name, key)) continue;
    if (here?.next === undefined) return undefined;
    left.push(here.next);
  }
  return left;
}

function matches(name: Step["name"], key: string): boolean {
  if (name === undefined) return true;
  return typeof name === "string" ? name === key : name.test(key);
}
