/** The JSON Schemas of inputs and responses, as components of API documents. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Action } from "../../action/action";
import { outputOf } from "../../action/output";
import { api } from "../../api";
import { projectRoot } from "../../config/config";
import { planOf, shapeOf, tableOf, united } from "../../input/schemaPlan";
import {
  isStandardSchema,
  jsonSchemaOf,
  type JsonSchema,
} from "../../input/standardSchema";
import type { Input } from "../../input/types";

/** The shared state of the parts of a document. */
export interface Components {
  schemas: Record<string, JsonSchema>;
}

/** What `idempotent` actions take: as a header, or as a param of clients without headers. */
export const IDEMPOTENCY_KEY: JsonSchema = {
  description:
    "A key of the client's own for what is to be done once: a call that comes again with it gets the first response",
  type: "string",
  pattern: "^[!-~]{1,255}$",
};

export const ERROR: JsonSchema = {
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

/** The schema of what an action responds; any object without one. */
export function outputSchema(
  action: Action,
  components: Components,
): JsonSchema {
  const schema = outputOf(action);
  const json = schema && jsonSchemaOf(schema, "output");
  if (!json) return { type: "object" };
  // metadata of the server may stand beside what the action responds
  const { additionalProperties, ...open } = json;
  const root = additionalProperties === false ? open : json;
  return reference(`${componentName(action)}.output`, root, components);
}

export function describeInputs(action: Action, components: Components) {
  const table = tableOf(action.inputs);
  const properties = new Map<string, JsonSchema>();
  const required = new Set<string>();
  const json = isStandardSchema(action.inputs)
    ? planOf(action.inputs).json
    : undefined;
  const shape = json && shapeOf(json, json);
  const component = `${componentName(action)}.input`;
  if (json && shape) reference(component, json, components);
  for (const [name, input] of Object.entries(table)) {
    const schemas = shape?.properties.get(name);
    properties.set(
      name,
      schemas
        ? (relocated(united(schemas), component) as JsonSchema)
        : describeInput(input, component, components),
    );
    if (input.required === true) required.add(name);
  }
  return { properties, required };
}

/** The schema of an input of a table, as far as its type is known. */
function describeInput(
  input: Input,
  component: string,
  components: Components,
): JsonSchema {
  if (input.file) {
    const one = {
      type: "string",
      contentMediaType: "application/octet-stream",
    };
    return input.file.isList ? { type: "array", items: one } : one;
  }
  if (isStandardSchema(input.schema)) {
    const { json } = planOf(input.schema);
    return json ? reference(component, json, components) : {};
  }
  if (input.schema) {
    const nested = Object.entries(input.schema);
    return {
      type: "object",
      properties: Object.fromEntries(
        nested.map(([name, one]) => [
          name,
          describeInput(one, `${component}.${name}`, components),
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

/** Add a schema to the components. @returns a reference to it */
function reference(
  name: string,
  schema: JsonSchema,
  { schemas }: Components,
): JsonSchema {
  const { $schema: _, ...rest } = schema;
  schemas[name] = relocated(rest, name) as JsonSchema;
  return { $ref: `#/components/schemas/${name}` };
}

/** The same schema, whose references start at its component. */
function relocated(schema: unknown, component: string): unknown {
  if (Array.isArray(schema))
    return schema.map((item) => relocated(item, component));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === "$ref" && typeof value === "string" && value.startsWith("#")
        ? `#/components/schemas/${component}${value.slice(1)}`
        : relocated(value, component),
    ]),
  );
}

export function componentName({ name, version }: Action): string {
  const several = Object.keys(api.actions.actions[name] ?? {}).length > 1;
  const full = several ? `${name}.v${version}` : name;
  return full.replace(/[^\w.-]/g, "_");
}

export function projectInfo(): Record<string, unknown> {
  const file = path.join(projectRoot, "package.json");
  const read = JSON.parse(fs.readFileSync(file, "utf8")) as {
    [key: string]: unknown;
  };
  const { name = "api", version = "1.0.0", description } = read;
  return description === undefined
    ? { title: name, version }
    : { title: name, version, description };
}
