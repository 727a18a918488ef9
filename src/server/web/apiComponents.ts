/** The JSON Schemas of inputs and responses, as components of the documents that describe the API. */
import type { Action } from "../../action/action";
import { outputJson } from "../../action/output";
import { api } from "../../api";
import { isObject, resolveRef } from "../../input/coercion";
import { mapSubschemas } from "../../input/jsonSchema";
import { shapeOf, shownJson, tableOf, united } from "../../input/schemaPlan";
import {
  type Input,
  isStandardSchema,
  type JsonSchema,
} from "../../input/types";

/** How references to components begin. */
export const COMPONENT = "#/components/schemas/";

/** The key that clients send for `idempotent` actions: as a header, or as a param of clients without headers. */
export const IDEMPOTENCY_KEY: JsonSchema = {
  description:
    "A key of the client's own for what is to be done once: a call that comes again with it gets the first response",
  type: "string",
  pattern: "^[!-~]{1,255}$",
};

const ERROR: JsonSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: { type: "string" },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["path", "message", "code"],
        properties: {
          path: { type: "string" },
          message: { type: "string" },
          code: { type: "string" },
        },
      },
    },
  },
};

/** Keywords that name a whole schema, or hold the definitions that become components. */
const ROOT_KEYWORDS = ["$schema", "$id", "id", "$defs", "definitions"];
/** Clients leave properties with `readOnly` out of requests, but the server takes them. */
const NOT_OF_INPUTS = [...ROOT_KEYWORDS, "readOnly"];
/** The server adds no defaults to responses. */
const NOT_OF_OUTPUTS = [...ROOT_KEYWORDS, "default"];

/** A JSON Schema whose parts are added to the components. */
interface Source {
  /** The schema to which references are relative. */
  root: JsonSchema;
  /** The component of the whole schema. */
  component: string;
  without: readonly string[];
}

/** The schemas of a document by names that are unique and valid in it. */
export class Components {
  readonly schemas: Record<string, JsonSchema> = { Error: ERROR };
  private readonly names = new Map<string, string>();
  private readonly used = new Set<string>(["Error"]);

  /** The name of an action in the document. */
  nameOf({ name, version }: Action): string {
    const several = Object.keys(api.actions.actions[name] ?? {}).length > 1;
    const full = several ? `${name}.v${version}` : name;
    return this.unique(`${name}@${version}`, full);
  }

  /** The component of a part of an action, such as its input. */
  partOf(action: Action, part: string): string {
    const name = `${this.nameOf(action)}.${part}`;
    return this.unique(`#${name}`, name);
  }

  /** Add a whole schema. @returns a reference to its component */
  add(source: Source): JsonSchema {
    const { component, root } = source;
    const isAdded = Object.hasOwn(this.schemas, component);
    if (!isAdded) {
      this.schemas[component] = {}; // it may be recursive
      this.schemas[component] = this.place(root, source) as JsonSchema;
    }
    return { $ref: COMPONENT + component };
  }

  /** The schema, moved out of its document: what it refers to becomes components. */
  place(schema: unknown, source: Source): unknown {
    if (!isObject(schema)) return schema;
    const kept = Object.entries(schema).filter(
      ([keyword]) => !source.without.includes(keyword),
    );
    const placed = mapSubschemas(Object.fromEntries(kept), (part) =>
      this.place(part, source),
    );
    const { $ref } = placed;
    return typeof $ref === "string" && $ref.startsWith("#")
      ? { ...placed, ...this.refer($ref, source) }
      : placed;
  }

  private refer($ref: string, source: Source): JsonSchema {
    if ($ref === "#") return this.add(source);
    const { root, component } = source;
    const name = this.unique(
      component + $ref,
      `${component}.${$ref.slice($ref.lastIndexOf("/") + 1)}`,
    );
    if (!Object.hasOwn(this.schemas, name)) {
      this.schemas[name] = {};
      const target = resolveRef({ $ref }, root);
      this.schemas[name] = this.place(target ?? {}, source) as JsonSchema;
    }
    return { $ref: COMPONENT + name };
  }

  private unique(key: string, wanted: string): string {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    const valid = wanted.replace(/[^\w.-]/g, "_");
    let name = valid;
    for (let count = 2; this.used.has(name); count++)
      name = valid + `_${count}`;
    this.used.add(name);
    this.names.set(key, name);
    return name;
  }
}

/** The schema of what an action responds; any object without one. */
export function outputSchema(
  action: Action,
  components: Components,
): JsonSchema {
  const json = outputJson(action);
  if (!json) return { type: "object" };
  return components.add({
    // metadata of the server may stand beside what the action responds
    root: opened(json, json) as JsonSchema,
    component: components.partOf(action, "output"),
    without: NOT_OF_OUTPUTS,
  });
}

const UNIONS = ["anyOf", "oneOf", "allOf"];
const MAX_UNION_DEPTH = 8;

/** The schema of objects that may have more properties; the same one if they may already. */
function opened(schema: unknown, root: JsonSchema, depth = 0): unknown {
  const target = resolveRef(schema, root);
  if (!target || depth > MAX_UNION_DEPTH) return schema;
  const { additionalProperties, ...rest } = target;
  let result = additionalProperties === false ? rest : target;
  for (const keyword of UNIONS) {
    const parts: unknown = target[keyword];
    if (!Array.isArray(parts)) continue;
    const open = parts.map((part) => opened(part, root, depth + 1));
    if (open.some((part, index) => part !== parts[index]))
      result = { ...result, [keyword]: open };
  }
  return result === target ? schema : result;
}

/** The inputs of an action. */
export interface DescribedInputs {
  properties: Map<string, JsonSchema>;
  required: Set<string>;
  /** The whole schema, if the properties do not tell which of them go together. */
  union: JsonSchema | undefined;
  /** The schema of params with other names, if the action takes them. */
  others: unknown;
}

export function describeInputs(
  action: Action,
  components: Components,
): DescribedInputs {
  const { inputs } = action;
  const component = components.partOf(action, "input");
  const properties = new Map<string, JsonSchema>();
  const required = new Set<string>();
  const json = jsonOf(inputs);
  const shape = json && shapeOf(json, json);
  const source = { root: json ?? {}, component, without: NOT_OF_INPUTS };
  for (const [name, input] of Object.entries(tableOf(inputs))) {
    const schemas = shape?.properties.get(name);
    properties.set(
      name,
      schemas
        ? (components.place(united(schemas), source) as JsonSchema)
        : describeInput(input, `input.${name}`, { action, components }),
    );
    if (input.required === true) required.add(name);
  }
  const whole = shape && resolveRef(json, json);
  const isUnion = whole !== undefined && isUnionOnly(whole);
  const union = isUnion ? components.add(source) : undefined;
  const others = union ? undefined : othersOf(whole, inputs);
  return {
    properties,
    required,
    union,
    others: components.place(others, source),
  };
}

function jsonOf(inputs: unknown): JsonSchema | undefined {
  return isStandardSchema(inputs) ? shownJson(inputs) : undefined;
}

function isUnionOnly(schema: JsonSchema): boolean {
  const isUnion = UNIONS.some((keyword) => keyword in schema);
  return isUnion && schema.properties === undefined;
}

/** The schema of properties that an object does not name; undefined if it takes none. */
function othersOf(object: JsonSchema | undefined, inputs: unknown): unknown {
  // a schema that cannot be described may take anything
  if (!object) return isStandardSchema(inputs) ? {} : undefined;
  const { additionalProperties, patternProperties } = object;
  if (patternProperties !== undefined) return {};
  return additionalProperties === false ? undefined : additionalProperties;
}

/** The schema of an input of a table, as far as its type is known. */
function describeInput(
  input: Input,
  part: string,
  of: { action: Action; components: Components },
): JsonSchema {
  if (input.file) {
    const one = {
      type: "string",
      contentMediaType: "application/octet-stream",
    };
    return input.file.isList ? { type: "array", items: one } : one;
  }
  if (isStandardSchema(input.schema)) {
    const json = shownJson(input.schema);
    const component = of.components.partOf(of.action, part);
    return json
      ? of.components.add({ root: json, component, without: NOT_OF_INPUTS })
      : {};
  }
  if (input.schema) {
    const nested = Object.entries<Input>(input.schema);
    return {
      type: "object",
      properties: Object.fromEntries(
        nested.map(([name, one]) => [
          name,
          describeInput(one, `${part}.${name}`, of),
        ]),
      ),
      required: nested
        .filter(([, one]) => one.required === true)
        .map(([name]) => name),
    };
  }
  const { default: value } = input as { default?: unknown };
  const type = typeof value;
  if (type === "number" || type === "boolean" || type === "string")
    return { type, default: value };
  // a formatter may take more than texts
  return input.formatter === undefined ? { type: "string" } : {};
}
