/** Describes the messages of websocket and TCP clients as an AsyncAPI 3.0 document. */
import type { Action } from "../../action/action";
import { latestVersion } from "../../action/registry";
import { api } from "../../api";
import { config } from "../../config/config";
import { settings } from "../../config/settings";
import { tableOf } from "../../input/schemaPlan";
import type { JsonSchema } from "../../input/standardSchema";
import {
  componentName,
  describeInputs,
  ERROR,
  IDEMPOTENCY_KEY,
  outputSchema,
  projectInfo,
  type Components,
} from "./openapi";
import { originOfHost } from "../proxies";

type Named = Record<string, object>;

interface Transport {
  /** Of the channel and the server. */
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
  const components: Components = { schemas: { Error: ERROR } };
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
        payload: reply({ $ref: "#/components/schemas/Error" }),
      },
    };
    for (const action of taken) {
      const name = componentName(action);
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
    components,
  };
}

function enabledTransports(): Transport[] {
  const { web, websocket, socket } = config;
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
  if (socket?.enabled === true)
    transports.push({
      name: "socket",
      type: "socket",
      server: {
        host: `${hostname}:${socket.port}`,
        protocol: socket.secure === true ? "tls" : "tcp",
        description: "Each message is a line of JSON",
      },
      request: (action, params) => ({
        type: "object",
        required: ["action"],
        properties: { action: { const: action }, params },
      }),
    });
  return transports;
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
  const { properties, required } = describeInputs(action, components);
  const versions = Object.keys(api.actions.actions[action.name] ?? {});
  const isLast = String(latestVersion(action.name)) === String(action.version);
  const all = Object.fromEntries(properties);
  if (action.idempotent) all.idempotencyKey ??= IDEMPOTENCY_KEY;
  if (versions.length > 1) all.apiVersion = { const: action.version };
  return transport.request(action.name, {
    type: "object",
    properties: all,
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
