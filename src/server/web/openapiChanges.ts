/** Finds changes of a new OpenAPI document that break clients of an old one. */

type Json = Record<string, unknown>;

/** One line per breaking change. */
export function breakingChanges(before: Json, after: Json): string[] {
  const changes: string[] = [];
  const current = new Map(
    entries(after.paths).map(([path, item]) => [shapeOf(path), item]),
  );
  for (const [path, operations] of entries(before.paths)) {
    for (const [method, operation] of entries(operations)) {
      const place = `${method.toUpperCase()} ${path}`;
      const now = partOf(current.get(shapeOf(path)) ?? {}, method);
      if (!now) changes.push(`${place} is gone`);
      else compareOperation(place, [operation, before], [now, after], changes);
    }
  }
  return changes;
}

/** The names of variables in a path mean nothing to a server. */
function shapeOf(path: string): string {
  return path.replace(/\{[^{}]*\}/g, "{}");
}

/** A part of a document, and the document for its references. */
type Part = [part: Json, root: Json];

/** What a value is compared for: its operation, its direction, and where changes are collected. */
interface Comparison {
  place: string;
  direction: "takes" | "responds with";
  changes: string[];
}

/** Deeper values are not compared: recursive schemas have no end. */
const MAX_DEPTH = 20;

function compareOperation(
  place: string,
  [old, oldRoot]: Part,
  [now, nowRoot]: Part,
  changes: string[],
): void {
  const taken: Comparison = { place, direction: "takes", changes };
  const oldParams = paramsOf(old, oldRoot);
  for (const [key, { name, required, schema }] of paramsOf(now, nowRoot)) {
    const known = oldParams.get(key);
    if (required && !known?.required) changes.push(`${place} requires ${name}`);
    if (known)
      compareValues(taken, [name], [known.schema, oldRoot], [schema, nowRoot]);
  }
  compareProperties(
    { place, direction: "responds with", changes },
    [],
    [resolve(contentOf(partOf(old, "responses", "200")), oldRoot), oldRoot],
    [resolve(contentOf(partOf(now, "responses", "200")), nowRoot), nowRoot],
  );
}

function compareValues(
  comparison: Comparison,
  path: readonly string[],
  [oldSchema, oldRoot]: Part,
  [nowSchema, nowRoot]: Part,
): void {
  if (path.length > MAX_DEPTH) return;
  const old = resolve(oldSchema, oldRoot);
  const now = resolve(nowSchema, nowRoot);
  const { place, direction, changes } = comparison;
  const what = `${place} ${direction} ${path.join(".")}`;
  const [before, after] = [old.type, now.type].map((type) =>
    JSON.stringify(type),
  );
  if (before !== undefined && after !== undefined && before !== after) {
    changes.push(`${what} as ${after}, which was ${before}`);
    return;
  }
  if (direction === "takes") compareEnums(what, old, now, changes);
  compareProperties(comparison, path, [old, oldRoot], [now, nowRoot]);
  if (isSchema(old.items) && isSchema(now.items))
    compareValues(
      comparison,
      [...path, "*"],
      [old.items, oldRoot],
      [now.items, nowRoot],
    );
}

/** Both schemas are resolved. */
function compareProperties(
  comparison: Comparison,
  path: readonly string[],
  [old, oldRoot]: Part,
  [now, nowRoot]: Part,
): void {
  const { place, direction, changes } = comparison;
  const isTaken = direction === "takes";
  for (const name of isTaken ? requiredOf(now) : [])
    if (!requiredOf(old).includes(name))
      changes.push(`${place} requires ${[...path, name].join(".")}`);
  for (const [name, property] of entries(old.properties)) {
    const other = partOf(now, "properties", name);
    const inner = [...path, name];
    if (other)
      compareValues(comparison, inner, [property, oldRoot], [other, nowRoot]);
    else if (!isTaken)
      changes.push(`${place} responds without ${inner.join(".")}`);
  }
}

/** Values that are no longer accepted. */
function compareEnums(
  what: string,
  old: Json,
  now: Json,
  changes: string[],
): void {
  if (!Array.isArray(now.enum)) return;
  const accepted = now.enum.map((value) => JSON.stringify(value));
  if (!Array.isArray(old.enum)) {
    changes.push(`${what} only as ${accepted.join(", ")}`);
    return;
  }
  for (const value of old.enum.map((each) => JSON.stringify(each)))
    if (!accepted.includes(value))
      changes.push(`${what} no longer as ${value}`);
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

/** By place and name; those of the path by their position, because their names may change. */
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
  const body = resolve(contentOf(operation.requestBody as Json), root);
  for (const [name, schema] of entries(body.properties))
    params.set(`body:${name}`, {
      name,
      required: requiredOf(body).includes(name),
      schema: resolve(schema, root),
    });
  return params;
}

function contentOf(body: Json | undefined): Json {
  const [media] = Object.values((body?.content ?? {}) as Record<string, Json>);
  return (media?.schema ?? {}) as Json;
}

function resolve(schema: Json | undefined, root: Json): Json {
  let current: Json | undefined = schema;
  for (let hops = 0; hops < 20 && typeof current?.$ref === "string"; hops++) {
    const keys = current.$ref.slice(2).split("/");
    current = partOf(
      root,
      ...keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~")),
    );
  }
  return current ?? {};
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
