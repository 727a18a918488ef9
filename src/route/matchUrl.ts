/** Matches one route's path against the parts of a requested path. */

/** One `/`-separated piece of a route's path. */
export interface RouteSegment {
  /** The literal to compare, in the form of `literalOf`; undefined for a variable. */
  literal?: string;
  /** The prefix of a variable's part; not part of the value. */
  prefix: string;
  name: string;
  pattern?: RegExp;
}

/**
 * The longest text to which the pattern of a variable is applied; a longer one does not match. Patterns come from
 * projects, and one like `\d+$` takes quadratic time.
 */
const MAX_PATTERN_INPUT = 2048;

export interface CompiledPath {
  segments: readonly RouteSegment[];
  /** The last segment takes all remaining parts. */
  matchTrailing: boolean;
}

export interface UrlMatch {
  match: boolean;
  /** The variables of the path, still encoded. */
  params: { [name: string]: string };
}

/**
 * @param isLiteral a colon has no special meaning
 * @throws SyntaxError for an invalid regular expression of a variable
 */
export function compilePath(
  path: string,
  matchTrailing = false,
  isLiteral = false,
): CompiledPath {
  const compile = isLiteral ? literalSegment : compileSegment;
  return { segments: splitPath(path).map(compile), matchTrailing };
}

/** The public, uncompiled form: does `path` match, and with which variables? */
export function matchURL(
  pathParts: readonly string[],
  path: string,
  matchTrailingPathParts = false,
): UrlMatch {
  const params = matchCompiled(
    pathParts,
    compilePath(path, matchTrailingPathParts),
  );
  return { match: params !== undefined, params: params ?? {} };
}

/** @returns the variables, or undefined when the path does not match */
export function matchCompiled(
  pathParts: readonly string[],
  { segments, matchTrailing }: CompiledPath,
): { [name: string]: string } | undefined {
  if (pathParts.length < segments.length) return undefined;
  if (pathParts.length > segments.length && !matchTrailing) return undefined;
  const params: { [name: string]: string } = {};
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!;
    const part = pathParts[i]!;
    if (part === "") return undefined;
    if (segment.literal !== undefined) {
      if (literalOf(part) !== segment.literal) return undefined;
      continue;
    }
    const takesRest = matchTrailing && i === segments.length - 1;
    const whole = takesRest ? pathParts.slice(i).join("/") : part;
    const value = variableValue(segment, whole);
    if (value === undefined) return undefined;
    setVariable(params, segment.name, value);
  }
  return params;
}

/** @returns the part without the prefix, or undefined if it does not match the variable */
export function variableValue(
  { prefix, pattern }: Pick<RouteSegment, "prefix" | "pattern">,
  part: string,
): string | undefined {
  if (!part.startsWith(prefix)) return undefined;
  const value = prefix === "" ? part : part.slice(prefix.length);
  if (value === "") return undefined;
  if (pattern && (value.length > MAX_PATTERN_INPUT || !pattern.test(value)))
    return undefined;
  return value;
}

/**
 * The form in which literal parts are compared: decoded, because `%65cho` and `echo` are equal (RFC 3986 section
 * 6.2.2.2), and in lower case. A part that cannot be decoded is unchanged. A result with a percent sign is marked,
 * so that the part of a request as it came is never equal to it: the router looks for that first.
 */
export function literalOf(part: string): string {
  if (!part.includes("%")) return part.toLowerCase();
  const literal = decodeOrKeep(part).toLowerCase();
  return literal.includes("%") ? `\0${literal}` : literal;
}

/** The decoded part, or the part itself if it is malformed. */
export function decodeOrKeep(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `__proto__` would change the prototype instead of being a variable. */
export function setVariable(
  params: { [name: string]: string },
  name: string,
  value: string,
): void {
  if (name !== "__proto__") params[name] = value;
}

/** The parts of a route's path, without empty ones at either end. */
function splitPath(path: string): string[] {
  const parts = path.split("/");
  while (parts.length > 0 && parts[0] === "") parts.shift();
  while (parts.length > 0 && parts.at(-1) === "") parts.pop();
  return parts;
}

/** Other characters than letters, digits and what names of params have besides. */
const ODD = /[^\p{L}\p{N}\p{M}_$%+-]/u;

/**
 * Version 29 accepts any text as the name of a variable, so that two variables in one part, or one with a suffix, match
 * requests, but set no param that an action would read.
 * @param inputs the names that the action of the route reads
 * @returns what is wrong with a path; undefined for a good one
 */
export function problemOfPath(
  path: string,
  inputs: ReadonlySet<string>,
): string | undefined {
  for (const text of splitPath(path)) {
    const colon = text.indexOf(":");
    const variable = text.slice(colon + 1);
    if (colon !== -1 && isOdd(variable, inputs))
      return `its variable is named "${variable}": all text after the first colon of a part is the name`;
  }
  return undefined;
}

function isOdd(variable: string, inputs: ReadonlySet<string>): boolean {
  const open = variable.indexOf("(");
  if (open !== -1 && !variable.endsWith(")")) return true;
  const name = open === -1 ? variable : variable.slice(0, open);
  if (name === "") return true;
  if (inputs.has(name)) return false;
  // in `/:id-details` the action reads `id`
  return (
    ODD.test(name) || [...inputs].some((input) => name.startsWith(`${input}-`))
  );
}

function literalSegment(text: string): RouteSegment {
  return { literal: literalOf(text), prefix: "", name: "" };
}

function compileSegment(text: string): RouteSegment {
  const variable = variableOf(text);
  if (!variable) return literalSegment(text);
  const { prefix, name, pattern } = variable;
  if (pattern === undefined) return { prefix, name };
  return { prefix, name, pattern: new RegExp(pattern) };
}

/** A part of a route's path that takes a variable; the pattern is not compiled. */
interface Variable {
  prefix: string;
  name: string;
  pattern?: string;
}

/** @returns undefined for a literal part */
export function variableOf(text: string): Variable | undefined {
  const colon = text.indexOf(":");
  if (colon === -1) return undefined;
  const prefix = text.slice(0, colon);
  const variable = text.slice(colon + 1);
  const open = variable.indexOf("(");
  if (open === -1) return { prefix, name: variable };
  const pattern = variable.slice(open + 1, -1);
  return { prefix, name: variable.slice(0, open), pattern };
}
