/** Describes the API: actions and their routes as an OpenAPI 3.1 document, messages as an AsyncAPI 3.0 document. */
import * as fs from "node:fs";
import * as path from "node:path";
import { Action } from "../../action/action";
import { latestVersion, addAction } from "../../action/registry";
import { api } from "../../api";
import { projectRoot, config } from "../../config/config";
import { isSocketServerEnabled, settings } from "../../config/settings";
import { isObject, listOf, resolveRef } from "../../input/coercion";
import { tableOf } from "../../input/schemaPlan";
import { isStandardSchema, type JsonSchema } from "../../input/types";
import { requestMethods, takesMethod } from "../../route/registry";
import { variableOf } from "../../route/matchUrl";
import { routeSource, type RouteType } from "../../route/tables";
import { originOfHost } from "../proxies";
import type { ActionProcessor } from "../../action/actionProcessor";
import { HttpError } from "../../errors";
import {
  COMPONENT,
  Components,
  type DescribedInputs,
  describeInputs,
  IDEMPOTENCY_KEY,
  outputSchema,
} from "./apiComponents";

interface Operation {
  operationId: string;
  summary: string;
  description?: string;
  tags: string[];
  /** Of an action that has several. */
  "x-api-version"?: string | number;
  parameters: object[];
  requestBody?: object;
  responses: Record<string, object>;
}

interface Document {
  components: Components;
  operationIds: Set<string>;
  /** Operations whose path has patterns: the next route takes what these do not match. */
  partial: Set<Operation>;
}

const JSON_TYPE = "application/json";
const METHODS_WITH_BODY = ["post", "put", "patch"];

/**
 * The document of the current routes.
 * @param isWhole whether it has the automatic routes of actions with their own path, which serve, too
 */
export function describeApi(isWhole = false): Record<string, unknown> {
  const document: Document = {
    components: new Components(),
    operationIds: new Set(),
    partial: new Set(),
  };
  const paths: Record<string, Record<string, Operation>> = {};
  const templates = new Map<string, Template>();
  for (const method of requestMethods) {
    for (const [route, action] of shownRoutes(method, isWhole)) {
      const described = describePath(route, templates);
      const operations = (paths[described.template] ??= {});
      addOperation(operations, [method, action], described, document);
    }
  }
  const { securitySchemes, security = [], info } = settings().web.openapi ?? {};
  return {
    openapi: "3.1.0",
    info: { ...projectInfo(), ...info },
    servers: [{ url: serverUrl() }],
    security,
    paths,
    components: {
      schemas: document.components.schemas,
      ...(securitySchemes && { securitySchemes }),
    },
  };
}

function shownRoutes(
  method: (typeof requestMethods)[number],
  isWhole: boolean,
): [RouteType, Action][] {
  const routed = isWhole ? NO_ACTIONS : actionsWithRoutes();
  return (api.routes.routes[method] ?? []).flatMap((route) => {
    const action = actionOf(route, method);
    const isShown =
      action && !(routeSource(route) === "automatic" && routed.has(action));
    return isShown ? [[route, action] as [RouteType, Action]] : [];
  });
}

const NO_ACTIONS: ReadonlySet<Action | undefined> = new Set();

/** Versions of actions with their own path: their automatic routes are not shown. */
function actionsWithRoutes(): Set<Action | undefined> {
  const actions = new Set<Action | undefined>();
  for (const method of requestMethods)
    for (const route of api.routes.routes[method] ?? [])
      if (routeSource(route) !== "automatic")
        actions.add(actionOf(route, method));
  return actions;
}

/** The version of the route, else the default version. */
function actionOf(route: RouteType, method: string): Action | undefined {
  const { actions } = api.actions;
  const { action: name, dir, apiVersion } = route;
  if (dir || !Object.hasOwn(actions, name)) return undefined;
  const version = apiVersion ?? latestVersion(name) ?? 1;
  const action = actions[name]![version];
  if (!action || action.toDocument === false) return undefined;
  const isUsable =
    routeSource(route) !== "automatic" ||
    (takesMethod(action, method) &&
      (METHODS_WITH_BODY.includes(method) || !needsFile(action)));
  return isUsable ? action : undefined;
}

interface Template {
  text: string;
  names: string[];
}

/** A path of OpenAPI, and the variables in it: their names there, and the inputs that they are. */
interface DescribedPath {
  template: string;
  variables: { name: string; input: string }[];
  hasPattern: boolean;
}

/**
 * `/v:apiVersion/users/:id(^\d+$)` is `/v{apiVersion}/users/{id}`.
 * @param templates by their text without names: to OpenAPI, paths that differ only in these are identical, so the first is used
 */
function describePath(
  { path: pattern, literal }: RouteType,
  templates: Map<string, Template>,
): DescribedPath {
  if (literal) return { template: pattern, variables: [], hasPattern: false };
  const inputs: string[] = [];
  const names: string[] = [];
  let hasPattern = false;
  const shapes: string[] = [];
  const parts = pattern.split("/").map((part) => {
    const variable = variableOf(part);
    if (!variable) {
      shapes.push(part);
      return part;
    }
    const { prefix, name: input, pattern: only } = variable;
    const name = unusedName(input, names);
    inputs.push(input);
    names.push(name);
    hasPattern ||= only !== undefined;
    shapes.push(`${prefix}{}`);
    return `${prefix}{${name}}`;
  });
  const text = parts.join("/") || "/";
  const shape = shapes.join("/") || "/";
  if (!templates.has(shape)) templates.set(shape, { text, names });
  const template = templates.get(shape)!;
  const variables = inputs.map((input, i) => ({
    name: template.names[i]!,
    input,
  }));
  return { template: template.text, variables, hasPattern };
}

/** `id`, or `id2` and so on beside others of that name. */
function unusedName(name: string, used: readonly string[]): string {
  let unused = name;
  for (let count = 2; used.includes(unused); count++) unused = name + count;
  return unused;
}

/** Routes are tried in order, and OpenAPI has one operation for each path and method: that of the first. GET also handles HEAD. */
function addOperation(
  operations: Record<string, Operation>,
  [method, action]: [method: string, action: Action],
  { variables, hasPattern }: DescribedPath,
  document: Document,
): void {
  const { partial } = document;
  const shown = operations[method];
  if (!shown) {
    const added = operationOf(action, method, variables, document);
    operations[method] = added;
    if (hasPattern) partial.add(added);
  } else if (partial.has(shown)) {
    shown.description = `${shown.description ?? "Other values in the path call:"} \`${action.name}\``;
    if (!hasPattern) partial.delete(shown);
  }
}

function operationOf(
  action: Action,
  method: string,
  variables: DescribedPath["variables"],
  document: Document,
): Operation {
  const { name, description, idempotent } = action;
  const { components } = document;
  const inputs = describeInputs(action, components);
  const hasBody = METHODS_WITH_BODY.includes(method);
  const inPath = new Set(variables.map(({ input }) => input));
  const names = [...inputs.properties.keys()].filter((key) => !inPath.has(key));
  const requestBody = hasBody
    ? requestBodyOf(action, names, inputs, components)
    : undefined;
  return {
    operationId: operationId(name, method, document),
    summary: description,
    tags: [name.replace(/:.*/, "")],
    ...(hasVersions(action) && { "x-api-version": action.version }),
    parameters: [
      ...variables.map((variable) => pathParameter(variable, inputs)),
      ...(hasBody ? [] : queryParameters(names, inputs, components)),
      ...(idempotent ? [IDEMPOTENCY_HEADER] : []),
    ],
    ...(requestBody && { requestBody }),
    responses: {
      200: describeResponse(action, components),
      default: {
        description: "What went wrong",
        content: jsonContent({ $ref: `${COMPONENT}Error` }),
      },
    },
  };
}

function hasVersions({ name }: Action): boolean {
  return Object.keys(api.actions.actions[name] ?? {}).length > 1;
}

const IDEMPOTENCY_HEADER = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  schema: IDEMPOTENCY_KEY,
};

function pathParameter(
  { name, input }: DescribedPath["variables"][number],
  { properties, others }: DescribedInputs,
): object {
  return {
    name,
    in: "path",
    required: true,
    ...(input !== name && {
      description: `the input \`${input}\``,
      "x-input": input,
    }),
    schema: properties.get(input) ?? others ?? { type: "string" },
  };
}

function queryParameters(
  names: readonly string[],
  { properties, required, others }: DescribedInputs,
  components: Components,
): object[] {
  const parameters: object[] = names.map((name) => ({
    name,
    in: "query",
    required: required.has(name),
    // as the query is parsed: place[city]=Oslo
    ...(isObjectSchema(properties.get(name), components) && {
      style: "deepObject",
      explode: true,
    }),
    schema: properties.get(name),
  }));
  if (others !== undefined)
    parameters.push({
      name: unusedName("params", names),
      in: "query",
      required: false,
      // each of its properties is a param
      style: "form",
      explode: true,
      schema: { type: "object", additionalProperties: others },
    });
  return parameters;
}

function requestBodyOf(
  { inputs }: Action,
  names: readonly string[],
  { properties, required, others, union }: DescribedInputs,
  components: Components,
): object | undefined {
  if (names.length === 0 && others === undefined) return undefined;
  const hasFiles = Object.values(tableOf(inputs)).some(
    ({ file }) => file !== undefined,
  );
  const isWhole = names.length === properties.size && !hasFiles;
  const isRequired = names.filter((name) => required.has(name));
  const schema = {
    type: "object",
    properties: Object.fromEntries(
      names.map((name) => [name, properties.get(name)]),
    ),
    required: isRequired,
    ...(others !== undefined && { additionalProperties: others }),
    ...(union && isWhole && { allOf: [union] }),
  };
  return {
    required: isRequired.length > 0,
    content: hasFiles
      ? {
          "multipart/form-data": {
            schema,
            encoding: encodingOf(inputs, schema.properties, components),
          },
        }
      : jsonContent(schema),
  };
}

/**
 * How the server takes the parts of a form: a list as a part for each item, an object as JSON, or for a table of inputs as names
 * with brackets (`address[city]`).
 */
function encodingOf(
  inputs: Action["inputs"],
  properties: Record<string, unknown>,
  components: Components,
): Record<string, object> {
  const table = tableOf(inputs);
  const objects = isStandardSchema(inputs)
    ? { contentType: JSON_TYPE }
    : { style: "deepObject", explode: true };
  const encoding: Record<string, object> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const types = table[name]?.file?.types;
    if (types) encoding[name] = { contentType: types.join(", ") };
    else if (isObjectSchema(itemOf(schema, components), components))
      encoding[name] = objects;
  }
  return encoding;
}

/** The schema of the items of a list; others as they are. */
function itemOf(schema: unknown, { schemas }: Components): unknown {
  const { items } = resolveRef(schema, { components: { schemas } }) ?? {};
  return items ?? schema;
}

function jsonContent(schema: object, example?: unknown) {
  return {
    [JSON_TYPE]: example === undefined ? { schema } : { schema, example },
  };
}

function operationId(name: string, method: string, { operationIds }: Document) {
  let id = name;
  if (operationIds.has(id)) id = `${name}.${method}`;
  for (let count = 2; operationIds.has(id); count++)
    id = `${name}.${method}.${count}`;
  operationIds.add(id);
  return id;
}

function describeResponse(action: Action, components: Components): object {
  const { outputExample } = action as { outputExample?: object };
  const hasExample = Object.keys(outputExample ?? {}).length > 0;
  return {
    description: "The response",
    content: jsonContent(
      outputSchema(action, components),
      hasExample ? outputExample : undefined,
    ),
  };
}

const MAX_UNION_DEPTH = 8;

function isNull(schema: unknown): boolean {
  return isObject(schema) && schema.type === "null";
}

/** Whether a schema is that of objects, or of a union of objects. */
function isObjectSchema(
  schema: unknown,
  components: Components,
  depth = 0,
): boolean {
  const { schemas } = components;
  const target = resolveRef(schema, { components: { schemas } });
  if (!target || depth > MAX_UNION_DEPTH) return false;
  if (target.type === "object") return true;
  const parts = listOf(target.anyOf ?? target.oneOf ?? target.allOf);
  const options = parts.filter((part) => !isNull(part));
  return (
    options.length > 0 &&
    options.every((option) => isObjectSchema(option, components, depth + 1))
  );
}

function serverUrl(): string {
  const { urlPathForActions, allowedRequestHosts, secure } = settings().web;
  const prefix = `/${urlPathForActions ?? ""}`.replace(/\/{2,}/g, "/");
  const [host] = allowedRequestHosts;
  if (host === undefined) return prefix;
  return `${originOfHost(host, secure ? "https" : "http")}${prefix}`;
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

// --- The AsyncAPI document: messages of websocket and TCP clients.

type Named = Record<string, object>;

interface Transport {
  /** The name of the channel and of the server. */
  name: string;
  /** The type of its connections. */
  type: string;
  server: object;
  /** The message that calls an action. */
  request(action: string, params: JsonSchema): JsonSchema;
}

const MESSAGE_ID: JsonSchema = {
  description: "comes back in the reply; the server counts without it",
  type: ["string", "number"],
};
const ROOM: JsonSchema = {
  type: "object",
  required: ["context", "room", "from", "message", "sentAt"],
  properties: {
    context: { const: "user" },
    room: { type: "string" },
    from: { description: "the id of a connection", type: ["string", "number"] },
    message: {},
    sentAt: { description: "ms since 1970", type: "integer" },
  },
};
const WELCOME: JsonSchema = {
  type: "object",
  required: ["welcome", "context"],
  properties: { welcome: { type: "string" }, context: { const: "api" } },
};

/** The document of the actions as they are now, for the persistent transports that are enabled. */
export function describeMessages(): Record<string, unknown> {
  const components = new Components();
  const transports = enabledTransports();
  const channels: Named = {};
  const operations: Named = {};
  const actions = documentedActions();
  for (const transport of transports) {
    const taken = actions.filter(
      ({ blockedConnectionTypes }) =>
        !blockedConnectionTypes?.includes(transport.type),
    );
    const channel = `#/channels/${transport.name}`;
    const messages: Named = {
      welcome: { summary: "The first message", payload: WELCOME },
      room: { summary: "Said in a chat room", payload: ROOM },
      error: {
        summary: "What went wrong",
        payload: reply({ $ref: `${COMPONENT}Error` }),
      },
    };
    for (const action of taken) {
      const name = components.nameOf(action);
      messages[`${name}.request`] = {
        summary: action.description,
        payload: requestOf(action, transport, components),
      };
      messages[`${name}.response`] = {
        payload: reply(outputSchema(action, components)),
      };
      operations[`${transport.name}.${name}`] = {
        action: "receive",
        summary: action.description,
        tags: [{ name: action.name.replace(/:.*/, "") }],
        channel: { $ref: channel },
        messages: [{ $ref: `${channel}/messages/${name}.request` }],
        reply: {
          channel: { $ref: channel },
          messages: [
            { $ref: `${channel}/messages/${name}.response` },
            { $ref: `${channel}/messages/error` },
          ],
        },
      };
    }
    operations[`${transport.name}.pushed`] = {
      action: "send",
      summary: "What the server sends unasked",
      channel: { $ref: channel },
      messages: [
        { $ref: `${channel}/messages/welcome` },
        { $ref: `${channel}/messages/room` },
      ],
    };
    channels[transport.name] = {
      servers: [{ $ref: `#/servers/${transport.name}` }],
      messages,
    };
  }
  return {
    asyncapi: "3.0.0",
    info: { ...projectInfo(), ...settings().web.openapi?.info },
    defaultContentType: "application/json",
    servers: Object.fromEntries(
      transports.map(({ name, server }) => [name, server]),
    ),
    channels,
    operations,
    components: { schemas: components.schemas },
  };
}

function enabledTransports(): Transport[] {
  const { web, websocket } = config;
  const host = settings().web.allowedRequestHosts[0] ?? "http://localhost";
  const origin = originOfHost(host, web?.secure === true ? "https" : "http");
  const { hostname, host: authority, protocol } = new URL(origin);
  const transports: Transport[] = [];
  if (websocket?.enabled === true) {
    const hasHost = settings().web.allowedRequestHosts.length > 0;
    transports.push({
      name: "websocket",
      type: "websocket",
      server: {
        host: hasHost ? authority : `${hostname}:${web?.port}`,
        protocol: protocol === "https:" ? "wss" : "ws",
        pathname: `/${settings().websocket.server.pathname.replace(/^\/+|\/+$/g, "")}`,
      },
      request: (action, params) => ({
        type: "object",
        required: ["event", "params"],
        properties: {
          event: { const: "action" },
          params: withAction(action, params),
          messageId: MESSAGE_ID,
        },
      }),
    });
  }
  if (isSocketServerEnabled()) transports.push(socketTransport(hostname));
  return transports;
}

function socketTransport(hostname: string): Transport {
  const { port, secure } = settings().socket;
  return {
    name: "socket",
    type: "socket",
    server: {
      host: `${hostname}:${port}`,
      protocol: secure === true ? "tls" : "tcp",
      description: "Each message is a line of JSON",
    },
    request: (action, params) => ({
      type: "object",
      required: ["action"],
      properties: { action: { const: action }, params },
    }),
  };
}

function withAction(action: string, params: JsonSchema): JsonSchema {
  return {
    ...params,
    required: ["action", ...(params.required as string[])],
    properties: { action: { const: action }, ...(params.properties as object) },
  };
}

function requestOf(
  action: Action,
  transport: Transport,
  components: Components,
): JsonSchema {
  const { properties, required, others } = describeInputs(action, components);
  const isLast = String(latestVersion(action.name)) === String(action.version);
  const all = Object.fromEntries(properties);
  if (action.idempotent) all.idempotencyKey ??= IDEMPOTENCY_KEY;
  if (hasVersions(action)) all.apiVersion = { const: action.version };
  return transport.request(action.name, {
    type: "object",
    properties: all,
    ...(others !== undefined && { additionalProperties: others }),
    required: [...required, ...(isLast ? [] : ["apiVersion"])],
  });
}

/** Every reply has its context, and the id of its request. */
function reply(schema: JsonSchema): JsonSchema {
  return {
    allOf: [
      schema,
      {
        type: "object",
        required: ["context", "messageId"],
        properties: { context: { const: "response" }, messageId: MESSAGE_ID },
      },
    ],
  };
}

function documentedActions(): Action[] {
  return Object.values(api.actions.actions)
    .flatMap((versions) => Object.values(versions))
    .filter((action) => action.toDocument !== false && !needsFile(action));
}

/** Files are sent over HTTP only. */
function needsFile({ inputs }: Action): boolean {
  return Object.values(tableOf(inputs)).some(
    ({ file, required }) => file !== undefined && required === true,
  );
}

// --- The actions that respond with the documents, with `config.web.openapi`.

abstract class ApiDocument extends Action {
  override toDocument = false;
  readonly httpMethods = ["get"];

  protected abstract describe(): object;

  /** Over HTTP the document alone, without the metadata of responses. */
  async run(data: ActionProcessor): Promise<object | undefined> {
    if (!settings().general.introspection)
      throw new HttpError(404, "this server does not describe its API");
    const document = this.describe();
    const { connection } = data;
    if (connection.type !== "web") return document;
    data.toRender = false;
    await connection.pipe!(JSON.stringify(document), {
      "Content-Type": `${JSON_TYPE}; charset=utf-8`,
    });
    return undefined;
  }
}

class OpenApi extends ApiDocument {
  override name = "openapi";
  override description = "Describes this API as an OpenAPI 3.1 document";
  readonly route = "get /openapi.json";

  protected describe(): object {
    return describeApi();
  }
}

class AsyncApi extends ApiDocument {
  override name = "asyncapi";
  override description =
    "Describes the messages of websockets and TCP as an AsyncAPI 3.0 document";
  readonly route = "get /asyncapi.json";

  protected describe(): object {
    return describeMessages();
  }
}

/** Before the routes are loaded; actions of the project that have these names stay. */
export function addOpenApi(): void {
  if (!settings().web.openapi) return;
  for (const action of [new OpenApi(), new AsyncApi()])
    if (!Object.hasOwn(api.actions.actions, action.name))
      addAction(action, "web.openapi");
}
