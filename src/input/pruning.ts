/**
 * Removes properties of a value that a JSON Schema does not list. Compiled once per schema: for plain objects whose
 * properties are all listed, to code that reads and writes each by its name, because a loop over names takes ten
 * times as long.
 */
import { isObject, listOf, resolveRef } from "./coercion";
import { joinShapes, shapeOf, united } from "./schemaShape";
import type { JsonSchema } from "./standardSchema";

/** @returns a copy without unlisted properties; the value itself where the schema does not restrict it */
export type Pruner = (value: unknown, depth: number) => unknown;

type ListPruner = (list: unknown[], level: number) => unknown;
type ObjectPruner = (value: object, level: number) => unknown;

const KEEP: Pruner = (value) => value;

const PROTOTYPE = Object.prototype;
/** Properties of one object; code for more is as slow as a loop. */
const MAX_GENERATED = 200;

/** The maximum depth of an inspected schema, and of a value of a recursive schema. */
const MAX_SCHEMA_DEPTH = 64;
const MAX_VALUE_DEPTH = 500;

interface Document {
  root: JsonSchema;
  /** Of recursive schemas. */
  known: Map<JsonSchema, Pruner>;
}

/** @throws TypeError (when it is called) for circular references */
export function compilePruner(root: JsonSchema): (value: unknown) => unknown {
  const prune = compile(root, { root, known: new Map() }, 0);
  return (value) => prune(value, 0);
}

function compile(schema: unknown, of: Document, depth: number): Pruner {
  const resolved = resolveRef(schema, of.root);
  if (!resolved || depth > MAX_SCHEMA_DEPTH) return KEEP;
  const known = of.known.get(resolved);
  if (known) return known;
  let compiled: Pruner = KEEP;
  // a recursive schema finds this entry, which is complete by the time it is used
  of.known.set(resolved, (value, level) => compiled(value, level));
  const options = optionsOf(resolved, of.root, 0);
  const ofLists = listPruner(options, of, depth);
  const ofObjects = objectPruner(options, of, depth);
  if (ofLists !== KEEP || ofObjects !== KEEP)
    compiled = (value, level) => {
      if (typeof value !== "object" || value === null) return value;
      if (level > MAX_VALUE_DEPTH)
        throw new TypeError("the response is nested too deep, or in a circle");
      return Array.isArray(value)
        ? ofLists(value, level)
        : ofObjects(value, level);
    };
  of.known.set(resolved, compiled);
  return compiled;
}

/** The schemas of a union, through unions within it. */
function optionsOf(
  schema: unknown,
  root: JsonSchema,
  depth: number,
): JsonSchema[] {
  const resolved = resolveRef(schema, root);
  if (!resolved || depth > MAX_SCHEMA_DEPTH) return [];
  const options = listOf(resolved.anyOf ?? resolved.oneOf);
  return options.length === 0
    ? [resolved]
    : options.flatMap((option) => optionsOf(option, root, depth + 1));
}

function listPruner(
  options: JsonSchema[],
  of: Document,
  depth: number,
): ListPruner {
  const schema = options.find(({ items, prefixItems }) => items ?? prefixItems);
  if (!schema) return KEEP;
  const others = compile(schema.items, of, depth + 1);
  const first = listOf(schema.prefixItems).map((item) =>
    compile(item, of, depth + 1),
  );
  if (others === KEEP && first.every((prune) => prune === KEEP)) return KEEP;
  return (list, level) =>
    list.map((item, index) => (first[index] ?? others)(item, level + 1));
}

function objectPruner(
  options: JsonSchema[],
  of: Document,
  depth: number,
): ObjectPruner {
  const shapes = options
    .map((option) => shapeOf(option, of.root))
    .filter((shape) => shape !== undefined);
  if (shapes.length === 0) return KEEP;
  const shape = joinShapes(shapes, true);
  const properties = new Map<string, Pruner>();
  for (const [name, schemas] of shape.properties)
    if (name !== "__proto__")
      properties.set(name, compile(united(schemas), of, depth + 1));
  const others = shape.isClosed
    ? undefined
    : compile(shape.others, of, depth + 1);
  const general: ObjectPruner = (value, level) => {
    // class instances decide themselves what is sent
    const source = asSent(value);
    if (!isObject(source)) return source;
    const result: Record<string, unknown> = {};
    for (const key of Object.keys(source)) {
      const prune = properties.get(key) ?? others;
      if (prune && key !== "__proto__")
        result[key] = prune(source[key], level + 1);
    }
    return result;
  };
  return (!others && generate(properties, general)) || general;
}

/**
 * @param general for objects that are not plain
 * @returns undefined for names that every object inherits, and if node disallows code generation from strings
 */
function generate(
  properties: Map<string, Pruner>,
  general: ObjectPruner,
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
    // built from quoted names of the project's schema; it contains no client input
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
