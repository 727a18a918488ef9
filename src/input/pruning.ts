/**
 * Removes from a value everything that a JSON Schema does not name, even if the value has another shape: a list where
 * the schema has an object is pruned item by item, an object where it has a list is pruned as an item, and an object
 * where it has a string becomes empty. Compiled once per schema. Plain objects whose properties are all named get
 * generated code, because a loop over the names takes ten times as long.
 */
import { isObject, listOf, resolveRef } from "./coercion";
import type { JsonSchema } from "./types";

/** @returns a copy without unnamed properties; the value itself where the schema says nothing */
type Pruner = (value: unknown, level: number) => unknown;

type ListPruner = (list: unknown[], level: number) => unknown;
type ObjectPruner = (value: Record<string, unknown>, level: number) => unknown;

const KEEP: Pruner = (value) => value;

const PROTOTYPE = Object.prototype;
/** Properties of one object; code for more is as slow as a loop. */
const MAX_GENERATED = 200;

/** As deep as a value may be that a recursive schema describes. */
const MAX_VALUE_DEPTH = 500;

/** How the values of one place are pruned. */
interface Place {
  pruneList: ListPruner;
  pruneObject: ObjectPruner;
  generated: ObjectPruner | undefined;
}

/** A keyword of objects with any other properties: those are kept only if no other schema of the place is one of objects. */
export const DEFERS = "x-defers";

interface Document {
  root: JsonSchema;
  /** Pruners by the schemas of a place, so that recursive schemas end. */
  known: Map<string, Pruner>;
  ids: Map<JsonSchema, number>;
}

/** @throws TypeError (when it is called) for circles */
export function compilePruner(root: JsonSchema): (value: unknown) => unknown {
  const prune = compile([root], { root, known: new Map(), ids: new Map() });
  return (value) => prune(value, 0);
}

/** @param schemas the value may be of any of them */
function compile(schemas: readonly unknown[], of: Document): Pruner {
  return compileParts(partsOf(schemas, of.root), of);
}

function compileParts(parts: Parts, of: Document): Pruner {
  if (isAnything(parts)) return KEEP;
  const key = keyOf(parts, of);
  const known = of.known.get(key);
  if (known) return known;
  // a schema that refers to itself finds this pruner, whose place is complete by the time that a value comes
  const place: Partial<Place> = {};
  const general: Pruner = (value, level) => {
    // objects of classes say themselves what is sent of them
    const source = asSent(value as object);
    if (Array.isArray(source)) return place.pruneList!(source, level);
    return isObject(source) ? place.pruneObject!(source, level) : source;
  };
  const prune: Pruner = (value, level) => {
    if (typeof value !== "object" || value === null) return value;
    if (level > MAX_VALUE_DEPTH)
      throw new TypeError("the response is nested too deep, or in a circle");
    return place.generated
      ? place.generated(value as Record<string, unknown>, level)
      : general(value, level);
  };
  of.known.set(key, prune);
  place.pruneList = listPruner(parts, prune, of);
  const objectParts = itemPartsOf(parts, of.root);
  const found = objectPruner(objectParts, of);
  place.pruneObject = choosing(objectParts, found.prune, of);
  if (
    parts.objects.length > 0 &&
    found.isClosed &&
    place.pruneObject === found.prune
  )
    place.generated = generate(found.properties, general);
  return prune;
}

/** @returns a pruner by the options of a union that the value may be of; `prune` when nothing tells which */
function choosing(
  parts: Parts,
  prune: ObjectPruner,
  of: Document,
): ObjectPruner {
  const { objects } = parts;
  const choose = chooserOf(objects, of.root);
  if (!choose) return prune;
  const known = new Map<string, Pruner>();
  return (value, level) => {
    const chosen = choose(value);
    if (chosen.length === objects.length) return prune(value, level);
    const key = chosen.map((schema) => objects.indexOf(schema)).join();
    if (!known.has(key))
      known.set(key, compileParts({ ...parts, objects: [...chosen] }, of));
    return known.get(key)!(value, level);
  };
}

function isAnything({ objects, lists, isOpen }: Parts): boolean {
  return isOpen && objects.length === 0 && lists.length === 0;
}

function keyOf({ objects, lists, isOpen }: Parts, { ids }: Document): string {
  const idOf = (schema: JsonSchema) => {
    if (!ids.has(schema)) ids.set(schema, ids.size);
    return ids.get(schema)!;
  };
  const key = [objects, lists].map((schemas) =>
    schemas
      .map(idOf)
      .sort((a, b) => a - b)
      .join(),
  );
  return [...key, isOpen].join("/");
}

function listPruner(parts: Parts, self: Pruner, of: Document): ListPruner {
  if (parts.lists.length === 0) return everyItem(self);
  const { first, others } = positionsOf(parts.lists);
  const pruners = first.map((schemas) => compile(schemas, of));
  const pruneOthers = others && compile(others, of);
  if (pruners.length === 0 && pruneOthers) return everyItem(pruneOthers);
  return (list, level) => {
    // items without a schema are not sent
    const sent = pruneOthers ? list : list.slice(0, pruners.length);
    return Array.from(sent, (item, index) =>
      (pruners[index] ?? pruneOthers!)(item, level + 1),
    );
  };
}

/** @returns plain lists, also of those whose class has a `toJSON` */
function everyItem(prune: Pruner): ListPruner {
  if (prune === KEEP) return KEEP;
  return (list, level) => {
    const result = new Array<unknown>(list.length);
    for (let i = 0; i < list.length; i++) result[i] = prune(list[i], level + 1);
    return result;
  };
}

interface CompiledObject {
  prune: ObjectPruner;
  properties: Map<string, Pruner>;
  isClosed: boolean;
}

function objectPruner(parts: Parts, of: Document): CompiledObject {
  const properties = new Map<string, Pruner>();
  if (isAnything(parts)) return { prune: KEEP, properties, isClosed: false };
  const { named, rules } = namesOf(parts.objects);
  for (const [name, schemas] of named)
    properties.set(name, compile(schemas, of));
  // of a record all properties are meant, but beside named ones only the type tells which
  const others = pruneByName(rules, of, named.size > 0);
  const prune: ObjectPruner = (source, level) => {
    const result: Record<string, unknown> = {};
    for (const key of Object.keys(source)) {
      const pruneValue = properties.get(key) ?? others?.(key);
      if (!pruneValue || key === "__proto__") continue;
      const value = pruneValue(source[key], level + 1);
      if (value !== undefined) result[key] = value;
    }
    return result;
  };
  return { prune, properties, isClosed: others === undefined };
}

/** @returns the pruner of a property that no schema names by itself; undefined when there are none */
function pruneByName(
  rules: readonly NameRule[],
  of: Document,
  isByType: boolean,
): ((name: string) => Pruner | undefined) | undefined {
  if (rules.length === 0) return undefined;
  const compileAll = (some: readonly NameRule[]) => {
    const schemas = some.map(({ schema }) => schema);
    return isByType ? compileTyped(schemas, of) : compile(schemas, of);
  };
  if (rules.every(({ pattern }) => pattern === undefined)) {
    const prune = compileAll(rules);
    return () => prune;
  }
  const known = new Map<string, Pruner>();
  return (name) => {
    const matching = rules.filter(({ pattern }) => pattern?.test(name) ?? true);
    if (matching.length === 0) return undefined;
    const key = matching.map((rule) => rules.indexOf(rule)).join();
    if (!known.has(key)) known.set(key, compileAll(matching));
    return known.get(key);
  };
}

/** Values of a type that the schemas do not take are left out, too. */
function compileTyped(schemas: readonly unknown[], of: Document): Pruner {
  const parts = partsOf(schemas, of.root);
  const prune = compileParts(parts, of);
  if (parts.isOpen) return prune;
  return (value, level) => {
    // the type is that of what is sent, which for objects of classes their `toJSON` tells
    const sent =
      typeof value === "object" && value !== null ? asSent(value) : value;
    return isTaken(sent, parts) ? prune(sent, level) : undefined;
  };
}

function isTaken(sent: unknown, { objects, lists, scalars }: Parts): boolean {
  if (Array.isArray(sent)) return lists.length > 0;
  const type = jsonTypeOf(sent);
  return type === "object" ? objects.length > 0 : scalars.has(type);
}

/**
 * @param general for values that are not plain objects
 * @returns undefined where names are inherited by every object, and where node may not make code of texts
 */
function generate(
  properties: Map<string, Pruner>,
  general: Pruner,
): ObjectPruner | undefined {
  const names = [...properties.keys()];
  if (names.length > MAX_GENERATED || names.some((name) => name in PROTOTYPE))
    return undefined;
  const lines = names.map((name, index) => {
    const key = JSON.stringify(name);
    const kept =
      properties.get(name) === KEEP
        ? "item"
        : `typeof item === "object" ? prune${index}(item, level + 1) : item`;
    return `item = value[${key}]; if (item !== undefined) result[${key}] = ${kept};`;
  });
  const code = `return (value, level) => {
    if (prototypeOf(value) !== prototype || value.toJSON !== undefined) return general(value, level);
    const result = {};
    let item;
    ${lines.join("\n")}
    return result;
  };`;
  const given: Record<string, unknown> = {
    general,
    prototype: PROTOTYPE,
    prototypeOf: Object.getPrototypeOf,
  };
  names.forEach((name, index) => {
    given[`prune${index}`] = properties.get(name);
  });
  try {
    // of names that are quoted, in a schema of the project; what clients send is no part of it
    // eslint-disable-next-line @typescript-eslint/no-implied-eval
    const make = new Function(...Object.keys(given), code) as (
      ...values: unknown[]
    ) => ObjectPruner;
    return make(...Object.values(given));
  } catch {
    return undefined; // node --disallow-code-generation-from-strings
  }
}

function asSent(value: object): unknown {
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function"
    ? (toJSON as (key: string) => unknown).call(value, "")
    : value;
}

// --- The subschemas that apply to the objects and lists at one position of a value, through `$ref`, unions and
// intersections.

/** The schemas that a value of one place may be of. */
interface Parts {
  objects: JsonSchema[];
  lists: JsonSchema[];
  /** The JSON types of values that are neither. */
  scalars: ReadonlySet<string>;
  /** A schema takes any value. */
  isOpen: boolean;
}

/** A property whose name only its pattern tells; without one, any other property. */
interface NameRule {
  pattern: RegExp | undefined;
  schema: unknown;
}

const CLOSED: Parts = {
  objects: [],
  lists: [],
  scalars: new Set(),
  isOpen: false,
};

function partsOf(schemas: readonly unknown[], root: JsonSchema): Parts {
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
function jsonTypeOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

/** Whether the schema accepts no value at all, like `z.never()`. */
function isNothing(schema: unknown): boolean {
  if (!isObject(schema)) return schema === false;
  return isObject(schema.not) && Object.keys(schema.not).length === 0;
}

/** The parts for an object at this position; if the schema has only lists, those of their items. */
function itemPartsOf(parts: Parts, root: JsonSchema): Parts {
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
function positionsOf(lists: readonly JsonSchema[]): {
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
function namesOf(objects: readonly JsonSchema[]): {
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
  const deciding = all.filter((_, index) => objects[index]![DEFERS] !== true);
  const ruling = deciding.length > 0 ? deciding : all;
  return { named, rules: ruling.flatMap(({ rules }) => rules) };
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

/** The values of the constant properties of a schema. */
type Constants = Map<string, unknown[]>;

/**
 * How a value chooses among the options of a union: by properties that are constant in several of them.
 * @returns undefined when there are none; a function that leaves out the schemas whose constants the value does not have
 */
function chooserOf(
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
