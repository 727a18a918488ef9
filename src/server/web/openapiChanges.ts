/** Finds changes of a new OpenAPI document that break clients of an old one. */

import { acceptedTypes, listOf, resolveRef } from "../../input/coercion";

type Json = Record<string, unknown>;

/** One line per breaking change of a path, with the methods that it concerns. */
export function breakingChanges(before: Json, after: Json): string[] {
  const lines: string[] = [];
  const current = new Map(
    entries(after.paths).map(([path, item]) => [shapeOf(path), item]),
  );
  for (const [path, operations] of entries(before.paths)) {
    const methodsOf = new Map<string, string[]>();
    for (const [method, operation] of entries(operations)) {
      const now = partOf(current.get(shapeOf(path)) ?? {}, method);
      const changes = now
        ? changesOf([operation, before], [now, after])
        : ["is gone"];
      for (const change of changes) {
        const methods = methodsOf.get(change) ?? [];
        methodsOf.set(change, [...methods, method.toUpperCase()]);
      }
    }
    for (const [change, methods] of methodsOf)
      lines.push(`${methods.join(", ")} ${path} ${change}`);
  }
  return lines;
}

/** The names of variables in a path mean nothing to a server. */
function shapeOf(path: string): string {
  return path.replace(/\{[^{}]*\}/g, "{}");
}

/** A part of a document, and the document for its references. */
type Part = [part: Json, root: Json];

/** How a value is compared: its direction, and where changes are collected. */
interface Comparison {
  direction: "takes" | "responds with";
  changes: string[];
  /** The schemas that contain it, before and after: those of a recursive type are compared once. */
  above: readonly (readonly [old: Json, now: Json])[];
}

/** Deeper values are not compared. */
const MAX_DEPTH = 20;

/** The ends of lines. */
function changesOf([old, oldRoot]: Part, [now, nowRoot]: Part): string[] {
  const changes: string[] = [];
  const bodies = [bodyOf(old, oldRoot), bodyOf(now, nowRoot)] as const;
  const taken: Comparison = { direction: "takes", changes, above: [bodies] };
  const oldParams = paramsOf(old, oldRoot);
  for (const [key, { name, required, schema }] of paramsOf(now, nowRoot)) {
    const known = oldParams.get(key);
    if (required && !known?.required) changes.push(`requires ${name}`);
    if (known)
      compareValues(taken, [name], [known.schema, oldRoot], [schema, nowRoot]);
  }
  const responses = [
    resolve(contentOf(partOf(old, "responses", "200")), oldRoot),
    resolve(contentOf(partOf(now, "responses", "200")), nowRoot),
  ] as const;
  compareProperties(
    { direction: "responds with", changes, above: [responses] },
    [],
    [responses[0], oldRoot],
    [responses[1], nowRoot],
  );
  return changes;
}

function compareValues(
  comparison: Comparison,
  path: readonly string[],
  [oldSchema, oldRoot]: Part,
  [nowSchema, nowRoot]: Part,
): void {
  if (path.length > MAX_DEPTH) return;
  const { direction, changes, above } = comparison;
  const what = `${direction} ${path.join(".")}`;
  const before = acceptedTypes([oldSchema], oldRoot);
  const after = acceptedTypes([nowSchema], nowRoot);
  const areTypesKept =
    direction === "takes" ? haveTypes(after, before) : haveTypes(before, after);
  if (!areTypesKept) {
    changes.push(`${what} as ${textOf(after)}, which was ${textOf(before)}`);
    return;
  }
  const old = valueSchema(oldSchema, oldRoot);
  const now = valueSchema(nowSchema, nowRoot);
  if (above.some(([one, other]) => one === old && other === now)) return;
  const inner = { ...comparison, above: [...above, [old, now] as const] };
  if (direction === "takes") {
    compareTakenMembers(what, old, now, changes);
    compareLimits(what, old, now, changes);
  } else compareSentMembers(what, old, now, changes);
  compareProperties(inner, path, [old, oldRoot], [now, nowRoot]);
  compareItems(inner, path, [old, oldRoot], [now, nowRoot]);
}

/** Items of lists, and those of tuples by their position. */
function compareItems(
  comparison: Comparison,
  path: readonly string[],
  [old, oldRoot]: Part,
  [now, nowRoot]: Part,
): void {
  const [before, after] = [listOf(old.prefixItems), listOf(now.prefixItems)];
  compareLengths(comparison, path, [before.length, after.length]);
  before.forEach((item, index) => {
    const other = after[index] ?? now.items;
    if (!isSchema(item) || !isSchema(other)) return;
    const inner = [...path, String(index)];
    compareValues(comparison, inner, [item, oldRoot], [other, nowRoot]);
  });
  if (isSchema(old.items) && isSchema(now.items))
    compareValues(
      comparison,
      [...path, "*"],
      [old.items, oldRoot],
      [now.items, nowRoot],
    );
}

/** Of tuples; a list that becomes one, or the reverse, is not compared. */
function compareLengths(
  { direction, changes }: Comparison,
  path: readonly string[],
  [before, after]: [before: number, after: number],
): void {
  if (before === 0 || after === 0 || before === after) return;
  if (direction === "responds with" && after > before) return;
  changes.push(
    `${direction} ${path.join(".")} with ${after} items, which were ${before}`,
  );
}

/** Whether a schema of the types `some` has all the others; without types a schema has all. */
function haveTypes(
  some: ReadonlySet<string>,
  others: ReadonlySet<string>,
): boolean {
  if (some.size === 0 || others.size === 0) return true;
  return [...others].every(
    (type) => some.has(type) || (type === "integer" && some.has("number")),
  );
}

function textOf(types: ReadonlySet<string>): string {
  return [...types].map((type) => JSON.stringify(type)).join(" or ");
}

/** The schema of values that are not null. */
function valueSchema(schema: Json, root: Json): Json {
  const resolved = resolve(schema, root);
  const options = listOf(resolved.anyOf ?? resolved.oneOf)
    .map((option) => resolve(option as Json, root))
    .filter(({ type }) => type !== "null");
  return options.length === 1 ? options[0]! : resolved;
}

/** Both schemas are resolved. */
function compareProperties(
  comparison: Comparison,
  path: readonly string[],
  [old, oldRoot]: Part,
  [now, nowRoot]: Part,
): void {
  const { direction, changes } = comparison;
  const isTaken = direction === "takes";
  compareRequired(comparison, path, old, now);
  for (const [name, property] of entries(old.properties)) {
    const other = partOf(now, "properties", name);
    const inner = [...path, name];
    if (other)
      compareValues(comparison, inner, [property, oldRoot], [other, nowRoot]);
    else if (!isTaken) changes.push(`responds without ${inner.join(".")}`);
  }
  compareRecords(comparison, [...path, "*"], [old, oldRoot], [now, nowRoot]);
}

function compareRequired(
  { direction, changes }: Comparison,
  path: readonly string[],
  old: Json,
  now: Json,
): void {
  const isTaken = direction === "takes";
  for (const name of isTaken ? requiredOf(now) : [])
    if (!requiredOf(old).includes(name))
      changes.push(`requires ${[...path, name].join(".")}`);
  for (const name of isTaken ? [] : requiredOf(old))
    if (partOf(now, "properties", name) && !requiredOf(now).includes(name))
      changes.push(
        `no longer always responds with ${[...path, name].join(".")}`,
      );
}

/** The values of properties that a schema does not name. */
function compareRecords(
  comparison: Comparison,
  path: readonly string[],
  [{ additionalProperties: old }, oldRoot]: Part,
  [{ additionalProperties: now }, nowRoot]: Part,
): void {
  const { direction, changes } = comparison;
  if (!isSchema(old)) return;
  if (isSchema(now))
    compareValues(comparison, path, [old, oldRoot], [now, nowRoot]);
  else if (direction === "takes") {
    if (now === false) changes.push(`no longer takes ${path.join(".")}`);
  } else if (now !== true) changes.push(`responds without ${path.join(".")}`);
}

/** Values that are no longer accepted. */
function compareTakenMembers(
  what: string,
  old: Json,
  now: Json,
  changes: string[],
): void {
  const [before, accepted] = [membersOf(old), membersOf(now)];
  if (!accepted) return;
  if (!before) changes.push(`${what} only as ${accepted.join(", ")}`);
  for (const value of before ?? [])
    if (!accepted.includes(value))
      changes.push(`${what} no longer as ${value}`);
}

/** Values that old clients do not know. */
function compareSentMembers(
  what: string,
  old: Json,
  now: Json,
  changes: string[],
): void {
  const [before, sent] = [membersOf(old), membersOf(now)];
  if (!before) return;
  if (!sent) changes.push(`${what} not only as ${before.join(", ")}`);
  for (const value of sent ?? [])
    if (!before.includes(value)) changes.push(`${what} also as ${value}`);
}

/** The values of an enumeration as JSON. */
function membersOf(schema: Json): string[] | undefined {
  const members = "const" in schema ? [schema.const] : schema.enum;
  return Array.isArray(members)
    ? members.map((value) => JSON.stringify(value))
    : undefined;
}

/** Keywords that accept fewer values if they are higher; lower; or others. */
const LOWER_LIMITS = [
  "minimum",
  "exclusiveMinimum",
  "minLength",
  "minItems",
  "minProperties",
];
const UPPER_LIMITS = [
  "maximum",
  "exclusiveMaximum",
  "maxLength",
  "maxItems",
  "maxProperties",
];
const FORMS = ["pattern", "format", "multipleOf"];

function compareLimits(
  what: string,
  old: Json,
  now: Json,
  changes: string[],
): void {
  const isTighter = (keyword: string): boolean => {
    const [before, after] = [old[keyword], now[keyword]];
    if (after === undefined || after === before) return false;
    if (before === undefined || FORMS.includes(keyword)) return true;
    return LOWER_LIMITS.includes(keyword)
      ? Number(after) > Number(before)
      : Number(after) < Number(before);
  };
  for (const keyword of [...LOWER_LIMITS, ...UPPER_LIMITS, ...FORMS])
    if (isTighter(keyword))
      changes.push(`${what} with ${keyword} ${JSON.stringify(now[keyword])}`);
}

function requiredOf(schema: Json): string[] {
  return (schema.required ?? []) as string[];
}

function isSchema(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Param {
  name: string;
  required: boolean;
  schema: Json;
}

/** The params by place and name; those of the path by their position, because their names may change. */
function paramsOf(operation: Json, root: Json): Map<string, Param> {
  const params = new Map<string, Param>();
  let position = 0;
  for (const param of (operation.parameters ?? []) as Json[]) {
    const name = param.name as string;
    const isInPath = param.in === "path";
    params.set(`${param.in as string}:${isInPath ? position++ : name}`, {
      name,
      // a path of the same shape has as many
      required: param.required === true && !isInPath,
      schema: resolve(param.schema as Json, root),
    });
  }
  const body = bodyOf(operation, root);
  for (const [name, schema] of entries(body.properties))
    params.set(`body:${name}`, {
      name,
      required: requiredOf(body).includes(name),
      schema: resolve(schema, root),
    });
  const others = body.additionalProperties;
  if (isSchema(others))
    params.set("body:", { name: "*", required: false, schema: others });
  return params;
}

function bodyOf(operation: Json, root: Json): Json {
  return resolve(contentOf(operation.requestBody as Json), root);
}

function contentOf(body: Json | undefined): Json {
  const [media] = Object.values((body?.content ?? {}) as Record<string, Json>);
  return (media?.schema ?? {}) as Json;
}

function resolve(schema: Json | undefined, root: Json): Json {
  return resolveRef(schema, root) ?? {};
}

/** The object below these keys. */
function partOf(root: Json, ...keys: string[]): Json | undefined {
  return keys.reduce<Json | undefined>(
    (part, key) => part?.[key] as Json | undefined,
    root,
  );
}

function entries(value: unknown): [string, Json][] {
  return Object.entries((value ?? {}) as Record<string, Json>);
}
