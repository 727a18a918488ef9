/** Writes a client package for other projects: the client, and the types of the actions. */
import * as fs from "node:fs";
import * as path from "node:path";
import type { Action } from "../action/action";
import { latestVersion } from "../action/registry";
import { api } from "../api";
import { settings } from "../config/settings";
import { packageRoot } from "../environment/runtime";
import { isObject, listOf } from "../input/coercion";
import { tableOf } from "../input/schemaPlan";
import type { JsonSchema } from "../input/types";
import {
  COMPONENT,
  Components,
  describeInputs,
  outputSchema,
} from "../server/web/apiComponents";
import { projectInfo } from "../server/web/openapi";
import { clientRoutes } from "./actionTypes";
import { checkPackageName } from "../utils/packageNames";

/** Marks a generated package.json, so that no other package is overwritten. */
const MARK = "actionheroClient";

/** The files to copy, from `dist` to `runtime` of the package. */
const RUNTIME = ["client", "src/client", "src/assets"];

interface ClientPackageOptions {
  /** The folder; created if missing. */
  out: string;
  /** The name of the package (default: that of the project with `-client`). */
  name?: string | undefined;
  /** The folder of the compiled framework (default: its package). */
  dist?: string;
}

/**
 * @throws Error for a name that npm refuses, for a folder that holds another package, and when the framework is not built
 */
export function writeClientPackage({
  out,
  name,
  dist = path.join(packageRoot, "dist"),
}: ClientPackageOptions): void {
  const file = path.join(out, "package.json");
  if (fs.existsSync(file) && !isOurs(file))
    throw new Error(`${file} is that of another package`);
  if (!fs.existsSync(path.join(dist, "client", "node.js")))
    throw new Error(
      `there is no client in ${dist}: the framework is not built`,
    );
  const { title, version } = projectInfo() as Record<string, string>;
  const packageName = name ?? `${title}-client`;
  checkPackageName(packageName);
  const written = {
    "package.json": packageJson(packageName, version!),
    "index.js": commonJs(),
    "index.mjs": esModule(),
    "index.d.ts": declarations("./runtime/client/node.js"),
    "index.d.mts": declarations("./runtime/client/node.mjs"),
  };
  fs.mkdirSync(out, { recursive: true });
  for (const folder of RUNTIME)
    fs.cpSync(path.join(dist, folder), path.join(out, "runtime", folder), {
      recursive: true,
      filter: (source) => isNeeded(source, folder),
    });
  for (const [target, text] of Object.entries(written))
    fs.writeFileSync(path.join(out, target), text);
}

/** The bundles, and the declarations that they refer to. */
function isNeeded(source: string, folder: string): boolean {
  if (fs.statSync(source).isDirectory()) return true;
  return folder === "client" || /\.d\.m?ts$/.test(source);
}

function isOurs(file: string): boolean {
  const read = JSON.parse(fs.readFileSync(file, "utf8")) as object;
  return MARK in read;
}

function packageJson(name: string, version: string): string {
  const content = {
    name,
    version,
    description: "calls the actions of a server",
    type: "commonjs",
    main: "./index.js",
    types: "./index.d.ts",
    exports: {
      ".": {
        import: { types: "./index.d.mts", default: "./index.mjs" },
        default: { types: "./index.d.ts", default: "./index.js" },
      },
    },
    imports: {
      "#client": {
        browser: {
          import: "./runtime/client/browser.mjs",
          default: "./runtime/client/browser.cjs",
        },
        import: "./runtime/client/node.mjs",
        default: "./runtime/client/node.js",
      },
    },
    sideEffects: false,
    // for websockets in node, where pages have their own
    dependencies: { ws: "^8.0.0" },
    [MARK]: true,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

const NOTE = "/* Written by `npx actionhero generate-client`. */";
const ERRORS = "ActionError, ClientError";
const TYPES =
  "CallOptions, Client, CreateClientOptions, HttpClient, HttpOptions, ParamProblem, RoomMessage, StreamedFile";

function esModule(): string {
  return `${NOTE}
import { createClient as create, createHttpClient as createHttp } from "#client";
export { ${ERRORS} } from "#client";

export const routes = ${routesText()};
const server = { routes, apiPath: ${apiPath()}, sessionParam: ${sessionParam()} };

export function createClient(options) {
  return create({ ...server, ...options });
}

export function createHttpClient(options) {
  return createHttp({ ...server, ...options });
}
`;
}

function commonJs(): string {
  return `${NOTE}
"use strict";
const client = require("#client");

const routes = ${routesText()};
const server = { routes, apiPath: ${apiPath()}, sessionParam: ${sessionParam()} };

exports.ActionError = client.ActionError;
exports.ClientError = client.ClientError;
exports.routes = routes;
exports.createClient = (options) => client.createClient({ ...server, ...options });
exports.createHttpClient = (options) => client.createHttpClient({ ...server, ...options });
`;
}

/** The path of actions over HTTP. */
function apiPath(): string {
  const { urlPathForActions } = settings().web;
  const prefix = `/${urlPathForActions ?? ""}`.replace(/\/{2,}/g, "/");
  return JSON.stringify(prefix.replace(/\/$/, ""));
}

function sessionParam(): string {
  return JSON.stringify(settings().session.param);
}

function routesText(): string {
  const routes = Object.assign(
    {},
    ...documentedNames().map((name) => clientRoutes(name, isShown)),
  ) as object;
  return JSON.stringify(routes, null, 2);
}

function declarations(client: string): string {
  const schemas = new Schemas();
  const members: [string, string][] = [];
  for (const name of documentedNames()) {
    const versions = Object.values(api.actions.actions[name]!).filter(isShown);
    for (const action of versions)
      members.push([`${name}@${action.version}`, schemas.signatureOf(action)]);
    const latest = `${name}@${latestVersion(name)}`;
    if (members.some(([known]) => known === latest))
      members.push([name, `Actions[${JSON.stringify(latest)}]`]);
  }
  const lines = (entries: [string, string][]) =>
    entries
      .map(([key, type]) => `  ${JSON.stringify(key)}: ${type};\n`)
      .join("");
  const actions = lines(members);
  return `${NOTE}
import type { ActionRoutes, Client, CreateClientOptions, HttpClient, HttpOptions, StreamedFile } from "${client}";
export { ${ERRORS} } from "${client}";
export type { ${TYPES} } from "${client}";

/** What each action takes and responds. */
export interface Actions {
${actions}}

/** Shared types. */
export interface Schemas {
${lines(schemas.named())}}

${schemas.aliases()}

/** How actions with a path of their own are asked for. */
export declare const routes: ActionRoutes;

/** A client of the server at \`url\`: \`http(s)://\`, \`ws(s)://\`, and outside of pages \`tcp://\` or \`tls://\`. */
export declare function createClient<Rooms = object>(options: CreateClientOptions): Client<Actions, Rooms>;

/** A client over HTTP only. */
export declare function createHttpClient(options: HttpOptions): HttpClient<Actions>;
`;
}

function documentedNames(): string[] {
  return Object.keys(api.actions.actions)
    .filter((name) => Object.values(api.actions.actions[name]!).some(isShown))
    .sort();
}

function isShown(action: Action | undefined): boolean {
  return action !== undefined && action.toDocument !== false;
}

/** The components of the document that types refer to, each once, including recursive ones. */
class Schemas {
  private readonly components = new Components();
  /** By reference. An alias each: unlike the type of a property, it may refer to itself in a list. */
  private readonly types = new Map<string, { alias: string; type: string }>();

  signatureOf(action: Action): string {
    const params = this.paramsOf(action);
    const output = outputSchema(action, this.components);
    const response = typeOfSchema(output, this.reference);
    return `{ params: ${params}; response: ${response} }`;
  }

  private paramsOf(action: Action): string {
    const inputs = describeInputs(action, this.components);
    const { properties, required, union, others } = inputs;
    if (!union)
      return objectOf(
        {
          properties: Object.fromEntries(properties),
          required: [...required],
          additionalProperties: others ?? false,
        },
        this.reference,
      );
    const files = Object.entries(tableOf(action.inputs))
      .filter(([, { file }]) => file !== undefined)
      .map(([name]): [string, unknown] => [name, properties.get(name)]);
    const type = typeOfSchema(union, this.reference);
    return files.length === 0
      ? type
      : `${type} & ${objectType(files, required, this.reference)}`;
  }

  named(): [string, string][] {
    return [...this.types]
      .map(([key, { alias }]): [string, string] => [key, alias])
      .sort(([a], [b]) => (a < b ? -1 : 1));
  }

  aliases(): string {
    return [...this.types.values()]
      .map(({ alias, type }) => `type ${alias} = ${type};\n`)
      .join("");
  }

  private readonly reference: Reference = (ref) => {
    const key = ref.slice(COMPONENT.length);
    const known = this.types.get(key);
    if (known) return known.alias;
    const alias = `Schema${this.types.size + 1}`;
    const entry = { alias, type: "any" };
    this.types.set(key, entry); // it may be recursive
    entry.type = typeOfSchema(this.components.schemas[key], this.reference);
    return alias;
  };
}

// --- TypeScript for the values that a JSON Schema describes.

/** How a type refers to another schema of the document. */
type Reference = (ref: string) => string;

const PRIMITIVES: Record<string, string> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

/** The value of a file that a client sends. */
const FILE_TYPE = "Blob | StreamedFile";

/**
 * @param reference asked for each `$ref`
 * @returns the text of a type; `any` where the schema says nothing
 */
export function typeOfSchema(schema: unknown, reference: Reference): string {
  if (schema === false) return "never";
  if (!isObject(schema)) return "any";
  const { $ref } = schema as JsonSchema;
  if (typeof $ref === "string") return reference($ref);
  const parts = [
    literalsOf(schema),
    unionOf(listOf(schema.anyOf ?? schema.oneOf), reference),
    ...listOf(schema.allOf).map((part) => typeOfSchema(part, reference)),
    structureOf(schema, reference),
  ].filter((part) => part !== undefined && part !== "any");
  return parts.length === 0
    ? "any"
    : parts.length === 1
      ? parts[0]!
      : parts.map((part) => `(${part})`).join(" & ");
}

/** The type of an object with these properties. */
function objectType(
  properties: Iterable<[string, unknown]>,
  required: ReadonlySet<string>,
  reference: Reference,
): string {
  const members = [...properties].map(([name, schema]) => {
    const mark = required.has(name) ? "" : "?";
    const type = typeOfSchema(schema, reference);
    return `${comment(schema)}${JSON.stringify(name)}${mark}: ${type};`;
  });
  return members.length === 0 ? "{}" : `{ ${members.join(" ")} }`;
}

function literalsOf({ const: single, enum: values }: JsonSchema) {
  if (single !== undefined) return literal(single);
  return Array.isArray(values) && values.length > 0
    ? values.map(literal).join(" | ")
    : undefined;
}

/** Objects and lists as values are rare, and have no literal types. */
function literal(value: unknown): string {
  return typeof value === "object" && value !== null
    ? "any"
    : JSON.stringify(value);
}

function unionOf(options: unknown[], reference: Reference): string | undefined {
  if (options.length === 0) return undefined;
  const types = options.map((option) => typeOfSchema(option, reference));
  return [...new Set(types)].join(" | ");
}

function structureOf(
  schema: JsonSchema,
  reference: Reference,
): string | undefined {
  if (schema.contentMediaType === "application/octet-stream") return FILE_TYPE;
  if (schema.const !== undefined || schema.enum !== undefined) return undefined;
  const several = listOf(schema.type);
  if (several.length > 0)
    return several
      .map((type) => typeOfSchema({ ...only(schema), type }, reference))
      .join(" | ");
  const type = (schema.type ?? guessed(schema)) as string | undefined;
  if (type === "object") return objectOf(schema, reference);
  if (type === "array") return arrayOf(schema, reference);
  return type === undefined ? undefined : PRIMITIVES[type];
}

/** The schema without its alternatives and parts, which are written separately. */
function only({ anyOf: _1, oneOf: _2, allOf: _3, ...rest }: JsonSchema) {
  return rest;
}

function guessed({ properties, items, prefixItems }: JsonSchema) {
  if (isObject(properties)) return "object";
  return items !== undefined || prefixItems !== undefined ? "array" : undefined;
}

function objectOf(schema: JsonSchema, reference: Reference): string {
  const { properties, additionalProperties, required } = schema;
  const named = Object.entries((properties ?? {}) as object);
  const others = isObject(additionalProperties)
    ? typeOfSchema(additionalProperties, reference)
    : "any";
  if (named.length === 0)
    return additionalProperties === false ? "{}" : dictionaryOf(others);
  const type = objectType(
    named,
    new Set(listOf(required) as string[]),
    reference,
  );
  // the types of others need not fit those of named properties, as an index signature has to
  return isOpen(additionalProperties) ? `${type} & Record<string, any>` : type;
}

function isOpen(additionalProperties: unknown): boolean {
  return additionalProperties === true || isObject(additionalProperties);
}

/** A type may refer to itself in an index signature, but not in the arguments of `Record`. */
function dictionaryOf(others: string): string {
  return others === "any"
    ? "Record<string, any>"
    : `{ [key: string]: ${others} }`;
}

function arrayOf({ items, prefixItems }: JsonSchema, reference: Reference) {
  const first = listOf(prefixItems).map((item) =>
    typeOfSchema(item, reference),
  );
  const rest = items === false ? undefined : typeOfSchema(items, reference);
  if (first.length === 0) return `(${rest ?? "never"})[]`;
  const open = isObject(items) ? [`...(${rest})[]`] : [];
  return `[${[...first, ...open].join(", ")}]`;
}

function comment(schema: unknown): string {
  const { description } = (isObject(schema) ? schema : {}) as JsonSchema;
  return typeof description === "string"
    ? `/** ${description.replaceAll("*/", "* /").replace(/\s+/g, " ")} */ `
    : "";
}
