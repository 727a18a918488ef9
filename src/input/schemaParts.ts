/**
 * Collects the subschemas that apply to the objects and lists at one position of a value, through `$ref`, unions and
 * intersections.
 */
import { isObject, listOf, resolveRef } from "./coercion";
import type { JsonSchema } from "./standardSchema";

/** The schemas that a value of one place may be of. */
export interface Parts {
  objects: JsonSchema[];
  lists: JsonSchema[];
  /** The JSON types of values that are neither. */
  scalars: ReadonlySet<string>;
  /** A schema takes any value. */
  isOpen: boolean;
}

/** A property whose name only its pattern tells; without one, any other property. */
export interface NameRule {
  pattern: RegExp | undefined;
  schema: unknown;
}

const CLOSED: Parts = {
  objects: [],
  lists: [],
  scalars: new Set(),
  isOpen: false,
};

export function partsOf(schemas: readonly unknown[], root: JsonSchema): Parts {
  const objects = new Set<JsonSchema>();
  const lists = new Set<JsonSchema>();
  const scalars = new Set<string>();
  const opens = new Map<JsonSchema, boolean>();

  /** @returns whether the schema takes any value */
  function visit(schema: unknown): boolean {
    if (schema === undefined || schema === true) return true;
    if (!isObject(schema)) return false;
    const known = opens.get(schema);
    if (known !== undefined) return known;
    opens.set(schema, false); // as long as it refers to itself
    const types = typesOf(schema);
    if (types.includes("object")) objects.add(schema);
    if (types.includes("array")) lists.add(schema);
    for (const type of scalarsOf(schema, types)) scalars.add(type);
    // all are visited, as each may name something
    const required = conditionsOf(schema, root).map(visit);
    const unions = [schema.anyOf, schema.oneOf].map((options) =>
      listOf(options).map(visit),
    );
    const isOpen =
      types.length === 0 &&
      required.every(Boolean) &&
      unions.every((options) => options.length === 0 || options.includes(true));
    opens.set(schema, isOpen);
    return isOpen;
  }

  const isOpen = schemas.map(visit).includes(true);
  return { objects: [...objects], lists: [...lists], scalars, isOpen };
}

/** Schemas that apply in addition: `allOf`, `then`, `else`, and the target of `$ref`. */
function conditionsOf(schema: JsonSchema, root: JsonSchema): unknown[] {
  const { $ref, allOf, then, else: otherwise } = schema;
  const conditions = [...listOf(allOf), then, otherwise];
  // a reference that leads nowhere names nothing
  if (typeof $ref === "string")
    conditions.push(resolveRef({ $ref }, root) ?? false);
  return conditions;
}

/** The types that a schema itself names; empty when it takes all. */
function typesOf(schema: JsonSchema): string[] {
  const types = new Set(
    typeof schema.type === "string"
      ? [schema.type]
      : (listOf(schema.type) as string[]),
  );
  if (isObject(schema.properties)) types.add("object");
  if (schema.items !== undefined || schema.prefixItems !== undefined)
    types.add("array");
  const fixed = constantsIn(schema);
  if (fixed.length > 0 && fixed.every((member) => Object(member) !== member))
    types.add("constant");
  if (isNothing(schema)) types.add("nothing");
  return [...types];
}

function constantsIn(schema: JsonSchema): unknown[] {
  return "const" in schema ? [schema.const] : listOf(schema.enum);
}

/** The JSON types of scalars that a schema itself takes, if it has any types. */
function scalarsOf(schema: JsonSchema, types: readonly string[]): string[] {
  const named = types.map((type) => (type === "integer" ? "number" : type));
  return [...named, ...constantsIn(schema).map(jsonTypeOf)];
}

/** The type of a value in a JSON Schema, without the difference of numbers and integers. */
export function jsonTypeOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

/** Whether the schema accepts no value at all, like `z.never()`. */
function isNothing(schema: unknown): boolean {
  if (!isObject(schema)) return schema === false;
  return isObject(schema.not) && Object.keys(schema.not).length === 0;
}

/** The parts for an object at this position; if the schema has only lists, those of their items. */
export function itemPartsOf(parts: Parts, root: JsonSchema): Parts {
  const seen = new Set<JsonSchema>();
  let current = parts;
  while (current.objects.length === 0 && current.lists.length > 0) {
    const lists = current.lists.filter((list) => !seen.has(list));
    if (lists.length === 0) return CLOSED;
    for (const list of lists) seen.add(list);
    const { first, others } = positionsOf(lists);
    current = partsOf([...first.flat(), ...(others ?? [])], root);
  }
  return current;
}

/** @returns the schemas of the first items, and of those after them; undefined when there are none */
export function positionsOf(lists: readonly JsonSchema[]): {
  first: unknown[][];
  others: unknown[] | undefined;
} {
  const tuples = lists.map(({ prefixItems, items }) => ({
    prefix: listOf(prefixItems),
    // as an object without `additionalProperties` has no others, a tuple without `items` has none
    rest: (prefixItems === undefined || items !== undefined
      ? [items]
      : []) as unknown[],
  }));
  const length = Math.max(0, ...tuples.map(({ prefix }) => prefix.length));
  const first = Array.from({ length }, (_, index) =>
    tuples.flatMap(({ prefix, rest }) =>
      index < prefix.length ? [prefix[index]] : rest,
    ),
  );
  const others = tuples
    .flatMap(({ rest }) => rest)
    .filter((schema) => schema !== false);
  return { first, others: others.length > 0 ? others : undefined };
}

/** The properties of any of these schemas, and which other names they take. */
export function namesOf(objects: readonly JsonSchema[]): {
  named: Map<string, unknown[]>;
  rules: NameRule[];
} {
  const all = objects.map(namesOfOne);
  const named = new Map<string, unknown[]>();
  for (const name of new Set(all.flatMap(({ own }) => [...own.keys()]))) {
    const schemas = all.flatMap(({ own, rules }) =>
      own.has(name)
        ? [own.get(name)]
        : rules
            .filter(({ pattern }) => pattern?.test(name) ?? true)
            .map(({ schema }) => schema),
    );
    if (name !== "__proto__" && !schemas.every(isNothing))
      named.set(name, schemas);
  }
  return { named, rules: all.flatMap(({ rules }) => rules) };
}

function namesOfOne(schema: JsonSchema): {
  own: Map<string, unknown>;
  rules: NameRule[];
} {
  const { properties, patternProperties, additionalProperties } = schema;
  const own = new Map<string, unknown>(
    Object.entries((properties ?? {}) as object),
  );
  const rules: NameRule[] = [];
  for (const [text, value] of Object.entries(
    (patternProperties ?? {}) as object,
  ))
    rules.push({ pattern: patternOf(text), schema: value });
  if (additionalProperties === undefined || additionalProperties === false)
    return { own, rules };
  const { enum: names, pattern } = (schema.propertyNames ?? {}) as JsonSchema;
  if (Array.isArray(names))
    for (const name of names as string[]) own.set(name, additionalProperties);
  else
    rules.push({
      pattern: typeof pattern === "string" ? patternOf(pattern) : undefined,
      schema: additionalProperties,
    });
  return { own, rules };
}

const NEVER = /[^\s\S]/;

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch {
    return NEVER;
  }
}

/** Which values the constant properties of a schema have. */
type Constants = Map<string, unknown[]>;

/**
 * How a value chooses among the options of a union: by properties that are constant in several of them.
 * @returns undefined when there are none; a function that leaves out the schemas whose constants the value does not have
 */
export function chooserOf(
  objects: readonly JsonSchema[],
  root: JsonSchema,
): ((value: Record<string, unknown>) => readonly JsonSchema[]) | undefined {
  const all = objects.map((schema) => constantsOf(schema, root));
  const counts = new Map<string, number>();
  for (const name of all.flatMap((constants) => [...constants.keys()]))
    counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts.keys()].filter((name) => counts.get(name)! > 1);
  if (names.length === 0) return undefined;
  return (value) => {
    const chosen = objects.filter((_, index) =>
      names.every((name) => {
        const constants = all[index]!.get(name);
        if (constants === undefined) return true;
        if (value[name] !== undefined) return constants.includes(value[name]);
        return !listOf(objects[index]!.required).includes(name);
      }),
    );
    return chosen.length > 0 ? chosen : objects;
  };
}

function constantsOf(schema: JsonSchema, root: JsonSchema): Constants {
  const constants: Constants = new Map();
  for (const [name, property] of Object.entries(
    (schema.properties ?? {}) as object,
  )) {
    const resolved = resolveRef(property, root) ?? {};
    const values =
      "const" in resolved ? [resolved.const] : listOf(resolved.enum);
    if (values.length > 0) constants.set(name, values);
  }
  return constants;
}
