/** Which properties the objects of a JSON Schema have. */
import { isObject, listOf, resolveRef } from "./coercion";
import type { JsonSchema } from "./standardSchema";

/** The properties of a schema of objects, through unions and intersections. */
export interface Shape {
  /** All schemas of each name. */
  properties: Map<string, unknown[]>;
  required: Set<string>;
  isClosed: boolean;
  others: unknown;
}

const MAX_DEPTH = 16;

export function united(schemas: unknown[]): unknown {
  return schemas.length === 1 ? schemas[0] : { anyOf: schemas };
}

export function shapeOf(
  schema: unknown,
  root: JsonSchema,
  depth = 0,
): Shape | undefined {
  const resolved = resolveRef(schema, root);
  if (!resolved || depth > MAX_DEPTH) return undefined;
  const options = listOf(resolved.anyOf ?? resolved.oneOf);
  const parts = [...listOf(resolved.allOf), ...options];
  const isUnion = options.length > 0;
  if (parts.length > 0 && resolved.properties === undefined) {
    const shapes = parts.map((part) => shapeOf(part, root, depth + 1));
    return shapes.every((shape) => shape !== undefined)
      ? joinShapes(shapes, isUnion)
      : undefined;
  }
  if (resolved.type !== "object" && !isObject(resolved.properties))
    return undefined;
  const { additionalProperties: others, patternProperties } = resolved;
  const isOpen = others !== undefined && others !== false;
  return {
    properties: new Map(
      Object.entries((resolved.properties ?? {}) as object).map(
        ([name, property]) => [name, [property]],
      ),
    ),
    required: new Set(listOf(resolved.required) as string[]),
    isClosed: !isOpen && patternProperties === undefined,
    others,
  };
}

/** @param isUnion a property is required only if all of them require it */
function joinShapes(shapes: Shape[], isUnion: boolean): Shape {
  const properties = new Map<string, unknown[]>();
  const required = new Set<string>();
  for (const shape of shapes) {
    for (const [name, schemas] of shape.properties)
      properties.set(name, [...(properties.get(name) ?? []), ...schemas]);
    for (const name of shape.required)
      if (!isUnion || shapes.every((other) => other.required.has(name)))
        required.add(name);
  }
  return {
    properties,
    required,
    isClosed: shapes.every(({ isClosed }) => isClosed),
    others: shapes.find(({ others }) => isObject(others))?.others,
  };
}
