/** What the websocket server reads from `config.websocket`: any of it may be missing. */
import type { IncomingMessage } from "node:http";
import type { PerMessageDeflateOptions } from "ws";
import { ActionheroError } from "../../errors";

/** An upgrade request, with what Primus adds to it. */
export interface AuthorizationRequest extends IncomingMessage {
  query?: Record<string, string>;
  forwarded?: { ip: string; port: number | string };
}

/** An error may say the HTTP status (`statusCode`, 401) and the challenge (`authenticate`) of the refusal. */
export type Authorization = (
  req: AuthorizationRequest,
  done: (
    error?:
      | string
      | { message?: string; statusCode?: number; authenticate?: string }
      | null,
  ) => void,
) => unknown;

/** The options of Primus that have a meaning here. */
export interface PrimusOptions {
  pathname?: string;
  pingInterval?: number | false;
  maxLength?: number;
  origins?: string | RegExp | (string | RegExp)[];
  methods?: string | string[];
  credentials?: boolean;
  maxAge?: string | number;
  exposed?: boolean | string | string[];
  compression?: boolean | PerMessageDeflateOptions;
  authorization?: Authorization | null;
  idGenerator?: (() => string) | null;
  transformer?: string;
  parser?: string;
  plugin?: unknown;
  [option: string]: unknown;
}

export interface WebsocketConfig {
  enabled?: boolean;
  /** Default: every listener of the web server. */
  bind?: "http" | "https";
  clientUrl?: string;
  clientJsPath?: string;
  clientJsName?: string | null;
  destroyClientsOnShutdown?: boolean;
  maxBufferedBytes?: number;
  maxMessagesPerSecond?: number;
  maxConnections?: number;
  checkHost?: boolean;
  closeTimeout?: number;
  /** Verbs beside the usual ones. */
  verbs?: string[];
  server?: PrimusOptions;
  client?: { apiPath?: string; cookieKey?: string; [option: string]: unknown };
}

/** Used when a project's `config.websocket` lacks the key; config/websocket.ts says what each means. */
export const WEBSOCKET_DEFAULTS = {
  clientUrl: "window.location.origin",
  pathname: "/primus",
  pingInterval: 30_000,
  maxLength: 10 * 1024 * 1024,
  origins: "*",
  methods: "GET,HEAD,PUT,POST,DELETE,OPTIONS",
  maxAge: "30 days",
  maxBufferedBytes: 16 * 1024 * 1024,
  maxMessagesPerSecond: 0,
  maxConnections: 0,
  checkHost: false,
  closeTimeout: 5_000,
  cookieKey: "sessionID",
} as const;

/** Options of Primus that would change the wire format. */
const FIXED: Record<string, { allowed: unknown[]; spoken: string }> = {
  transformer: { allowed: ["websockets", "ws"], spoken: "websockets" },
  parser: { allowed: ["json"], spoken: "JSON" },
};

/** @throws ActionheroError AH_CONFIG for options that ask for something that is not there */
export function checkConfig({ bind, server = {} }: WebsocketConfig): void {
  if (![undefined, "http", "https"].includes(bind))
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.bind can only be 'http' or 'https'",
    );
  for (const [option, { allowed, spoken }] of Object.entries(FIXED)) {
    const value = server[option];
    if (value === undefined || value === null) continue;
    if (typeof value === "string" && allowed.includes(value.toLowerCase()))
      continue;
    throw new ActionheroError(
      "AH_CONFIG",
      `websocket.server.${option} cannot be set: clients are spoken to in ${spoken} only`,
    );
  }
  const { plugin } = server;
  if (plugin && !(typeof plugin === "object" && isEmpty(plugin))) {
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.server.plugin cannot be set: there is no Primus to plug into",
    );
  }
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
