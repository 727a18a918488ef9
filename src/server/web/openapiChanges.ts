/** Finds changes of a new OpenAPI document that break clients of an old one. */

type Json = Record<string, any>;

/** One line per breaking change. */
export function breakingChanges(before: Json, after: Json): string[] {
  const changes: string[] = [];
  for (const [path, operations] of entries(before.paths)) {
    for (const [method, operation] of entries(operations)) {
      const place = `${method.toUpperCase()} ${path}`;
      const now = after.paths?.[path]?.[method] as Json | undefined;
      if (!now) changes.push(`${place} is gone`);
      else compareOperation(place, [operation, before], [now, after], changes);
    }
  }
  return changes;
}

/** A part of a document, and the document for its references. */
type Part = [part: Json, root: Json];

function compareOperation(
  place: string,
  [old, oldRoot]: Part,
  [now, nowRoot]: Part,
  changes: string[],
): void {
  const oldParams = paramsOf(old, oldRoot);
  for (const [name, { required, schema }] of paramsOf(now, nowRoot)) {
    const known = oldParams.get(name);
    if (required && !known?.required) changes.push(`${place} requires ${name}`);
    if (known)
      compareTypes(`${place} takes ${name}`, known.schema, schema, changes);
  }
  const response = (operation: Json, root: Json) =>
    resolve(contentOf(operation.responses?.["200"]), root);
  const [oldResponse, nowResponse] = [
    response(old, oldRoot),
    response(now, nowRoot),
  ];
  for (const [name, property] of entries(oldResponse.properties)) {
    const other = nowResponse.properties?.[name] as Json | undefined;
    if (!other) changes.push(`${place} responds without ${name}`);
    else
      compareTypes(
        `${place} responds with ${name}`,
        resolve(property, oldRoot),
        resolve(other, nowRoot),
        changes,
      );
  }
}

function compareTypes(
  what: string,
  old: Json,
  now: Json,
  changes: string[],
): void {
  const [before, after] = [old.type, now.type].map((type) =>
    JSON.stringify(type),
  );
  if (before !== after && before !== undefined && after !== undefined)
    changes.push(`${what} as ${after}, which was ${before}`);
}

/** Of the path, the query and the body alike. */
function paramsOf(operation: Json, root: Json) {
  const params = new Map<string, { required: boolean; schema: Json }>();
  for (const { name, required, schema } of (operation.parameters ??
    []) as Json[])
    params.set(name as string, {
      required: required === true,
      schema: resolve(schema as Json, root),
    });
  const body = resolve(contentOf(operation.requestBody as Json), root);
  for (const [name, schema] of entries(body.properties))
    params.set(name, {
      required: ((body.required ?? []) as string[]).includes(name),
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
    current = keys.reduce<Json | undefined>(
      (part, key) => part?.[key.replaceAll("~1", "/").replaceAll("~0", "~")],
      root,
    );
  }
  return current ?? {};
}

function entries(value: unknown): [string, Json][] {
  return Object.entries((value ?? {}) as Record<string, Json>);
}
