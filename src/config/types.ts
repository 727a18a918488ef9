/** The types of configuration. */
import type { IncomingMessage } from "node:http";
import type { ParsedUrlQueryInput } from "node:querystring";
import type { SecureContextOptions, TlsOptions } from "node:tls";

/** The facts about this process in `config.process`. */
export type ProcessConfig = {
  env: string;
  id: string;
  typescript: boolean;
  projectRoot: string;
  actionheroVersion: string;
};

/**
 * The live configuration, one object per namespace. Each config file declares its namespace:
 * `declare module "actionhero" { interface ActionheroConfigInterface { [namespace]: ReturnType<...> } }`.
 */
export interface ActionheroConfigInterface {
  [key: string]: Record<string, unknown>;
  process: ProcessConfig;
}

/** One entry of `config.plugins`; every section is enabled unless it is `false`. */
export interface PluginConfigRecord {
  path: string;
  actions?: boolean;
  tasks?: boolean;
  initializers?: boolean;
  servers?: boolean;
  public?: boolean;
  cli?: boolean;
  /** Read the plugin's own config folder; disabled unless the plugin's package.json enables it. */
  config?: boolean;
}

export type PluginConfig = { [name: string]: PluginConfigRecord };

/** The sections of a plugin that `config.plugins` can disable. */
export type PluginSection = Exclude<
  keyof PluginConfigRecord,
  "path" | "config"
>;

/** A block of a config file: the values of each namespace in one environment. */
export type ConfigBlock = {
  [namespace: string]: (
    config: ActionheroConfigInterface,
  ) => Record<string, unknown>;
};

// --- The types of settings that are objects, unions or functions; `settings.ts` says what each setting means when it
// is missing.

/** The syslog levels, most severe first. */
export type ActionheroLogLevel =
  | "emerg"
  | "alert"
  | "crit"
  | "error"
  | "warning"
  | "notice"
  | "info"
  | "debug";

/** The level of the log line of each event. */
export type Levels = Partial<Record<string, ActionheroLogLevel>>;

export interface ProjectPaths {
  action?: readonly string[];
  task?: readonly string[];
  server?: readonly string[];
  cli?: readonly string[];
  initializer?: readonly string[];
  public?: readonly string[];
  pid?: readonly string[];
  log?: readonly string[];
  plugin?: readonly string[];
  test?: readonly string[];
  src?: string;
  dist?: string;
}

/** `general.overload`: beyond any of these limits, new work is refused. */
export interface OverloadLimits {
  /** How many actions of clients may run at a time. */
  maxInFlight?: number;
  /** How long the event loop may be delayed, in ms. */
  maxEventLoopDelay?: number;
  /** How much of the heap may be in use, in bytes; up to 1: as a fraction of the old generation. */
  maxHeapUsed?: number;
}

/** Settings that all rate limits share. */
export interface BaseLimit {
  /** How many calls are allowed in `perMs`; the window slides. */
  requests: number;
  /** The length of the window, in ms. */
  perMs: number;
  /**
   * How many proxies that write `X-Forwarded-For` are in front of the server (default 0); without effect if
   * `web.trustProxy` is set.
   */
  proxies?: number;
  /** While redis is unavailable: `"open"` (default) allows all calls, `"closed"` refuses all (503). */
  onOutage?: "open" | "closed";
}

/** `general.rateLimit`: actions, verbs and requests for actions that do not exist count. */
export interface RateLimit extends BaseLimit {
  /** How clients are identified: by address, or by fingerprint, which they can choose (default `"address"`). */
  by?: "address" | "fingerprint";
  /** Also count requests for files (default false). */
  files?: boolean;
}

/** `web.httpHeaders`; falsy values are not sent. */
export type HttpHeaders = Record<
  string,
  string | number | string[] | null | undefined
>;

/** `securityHeaders.headers` and `.tlsHeaders`; null leaves a header out. */
export type HeaderRecord = Record<string, string | null | undefined>;

/** A certificate and its key, in memory (`key`, `cert`, ...) or by the names of files. */
export interface CertificateSettings extends SecureContextOptions {
  /** Path of a PEM file. */
  keyFile?: string;
  certFile?: string;
  /** Whose client certificates are accepted. */
  caFile?: string;
}

/** `web.https`: a second listener for HTTPS, in addition to HTTP. */
export interface HttpsOptions extends CertificateSettings {
  enabled?: boolean;
  port?: number | string;
  bindIP?: string | null;
  serverOptions?: Record<string, unknown>;
}

/** `socket.serverOptions` */
export type SocketServerOptions = Partial<TlsOptions> &
  CertificateSettings & {
    /** Certificates of other host names; `*.example.com` is every name one level below. */
    hosts?: { [hostName: string]: CertificateSettings };
  };

/** Decides whether a proxy is trusted, by its address and its distance in hops. */
export type Trusts = (address: string, hop: number) => boolean;

/**
 * `web.trustProxy`: which proxies are trusted. None (`false`), a number of hops, networks (`"10.0.0.0/8"`, an address,
 * `"loopback"`, `"linklocal"`, `"uniquelocal"`; a list, or one text with commas), or a function (in a configuration
 * file as `{ _toExpand: false, trusts }`: other functions are called there). A text of digits is a number of hops, and
 * the empty text is `false`, as from an environment variable.
 * Undefined or null: as in version 29, `X-Real-IP` or else the first entry of `X-Forwarded-For` is trusted.
 */
export type TrustProxy =
  | false
  | number
  | string
  | readonly string[]
  | Trusts
  | { _toExpand: false; trusts: Trusts }
  | null
  | undefined;

/** Matches the origins of web sites. */
export type AllowedOrigins =
  | string
  | RegExp
  | readonly (string | RegExp)[]
  | ((origin: string) => boolean);

/** `web.cors` */
export interface CorsOptions {
  /** `"*"`, origins (also with a star for a part: `https://*.site.com`), patterns of whole origins, or a function. */
  origins: AllowedOrigins;
  /** Allow requests with cookies (default false). */
  credentials?: boolean;
  /** Default: GET, HEAD, POST, PUT, PATCH, DELETE. */
  methods?: readonly string[];
  /** Request headers that other origins may send; default: the ones a preflight asks for. */
  headers?: readonly string[];
  /** Response headers that their scripts may read, beyond the safelisted ones (default: none). */
  exposed?: readonly string[];
  /** Seconds for which browsers cache the response to a preflight request (default 600). */
  maxAge?: number;
}

/** The keys of `web.errorStatus`: functions of `config.errors`, and `redisAway` for unreachable redis. */
export type ErrorReason =
  | "genericError"
  | "invalidParams"
  | "missingParams"
  | "redisAway"
  | "serverShuttingDown"
  | "tooManyPendingActions"
  | "unknownAction"
  | "unsupportedServerType";

/** `web.openapi`: additions of a project to the document. */
export interface OpenApiOptions {
  info?: Record<string, unknown>;
  securitySchemes?: Record<string, unknown>;
  security?: Record<string, string[]>[];
}

/** `web.fingerprintOptions` */
export interface FingerprintOptions {
  cookieKey?: string;
  toSetCookie?: boolean;
  onlyStaticElements?: boolean;
  /** The responses that set the cookie: all of the web server, or only those of actions and of websocket upgrades. */
  on?: "all" | "actions";
  /** Accept only ids that a node with the same `general.serverToken` created. */
  signed?: boolean;
  /**
   * Cookie attributes; `expires` in ms from now. `Secure: "auto"` is for clients that use TLS: theirs begins with `__Host-`,
   * if its path is `/` and it has no domain.
   */
  settings?: ParsedUrlQueryInput | string;
}

/** The attributes of a cookie, of which `web.cookieOptions.settings` has the defaults. */
export interface CookieAttributes {
  /** Default `"/"`. */
  path?: string;
  /** Hosts that the cookie is sent to; default: only the host that set it. */
  domain?: string;
  /** Seconds until it expires; 0 removes it. Without `maxAge` and `expires`, it lasts until the browser closes. */
  maxAge?: number;
  expires?: Date;
  /** Scripts of pages cannot read it (default true). */
  httpOnly?: boolean;
  /** Sent over TLS only; `"auto"`, the default, sets it for clients that use TLS. */
  secure?: boolean | "auto";
  /** Whether requests from pages of other sites include it (default `"lax"`: only links do). */
  sameSite?: "strict" | "lax" | "none";
  /** A separate cookie jar for each top-level site (CHIPS). */
  partitioned?: boolean;
}

/** `web.formOptions` */
export interface FormOptions {
  /** Keep every value of a repeated field, not only the last. */
  multiples?: boolean;
  uploadDir?: string;
  keepExtensions?: boolean;
  /** Bytes of all fields together, or of a JSON body. */
  maxFieldsSize?: number;
  /** Bytes of one uploaded file. */
  maxFileSize?: number;
  /** Bytes of all uploaded files of a request together. */
  maxTotalFileSize?: number;
  maxFields?: number;
  maxFiles?: number;
  /** E.g. `"sha256"`: file objects get a `hash`. */
  hashAlgorithm?: string | false;
}

/** An upgrade request, with the properties that Primus adds. */
export interface AuthorizationRequest extends IncomingMessage {
  query?: Record<string, string>;
  forwarded?: { ip: string; port: number | string };
}

/** An error may set the HTTP status (`statusCode`, default 401) and the challenge (`authenticate`) of the refusal. */
type Authorization = (
  req: AuthorizationRequest,
  done: (
    error?:
      | string
      | { message?: string; statusCode?: number; authenticate?: string }
      | null,
  ) => void,
) => unknown;

/** `websocket.server`: the supported options of Primus. */
export interface PrimusOptions {
  pathname?: string;
  pingInterval?: number | false;
  maxLength?: number;
  origins?: string | RegExp | (string | RegExp)[];
  methods?: string | string[];
  credentials?: boolean;
  maxAge?: string | number;
  exposed?: boolean | string | string[];
  /** An object is passed to ws as `perMessageDeflate`; projects need not install its types. */
  compression?: boolean | object;
  authorization?: Authorization | null;
  idGenerator?: (() => string) | null;
  transformer?: string;
  parser?: string;
  plugin?: unknown;
  [option: string]: unknown;
}

/** `websocket.client`: options of the browser client. */
export interface WebsocketClientOptions {
  apiPath?: string;
  cookieKey?: string;
  [option: string]: unknown;
}

/** `redis.client`, `.subscriber` and `.tasks` */
export interface RedisEntry {
  konstructor: unknown;
  args?: unknown[];
  buildNew?: boolean;
}

/** `tasks.queues`: a list, or a function that returns it. */
export type QueueNames =
  string[] | (() => string[] | undefined | Promise<string[] | undefined>);

/** `errors.serializers.servers`: converts errors for the clients of each server type. */
export type ServerSerializers = Partial<
  Record<string, (error: unknown) => unknown>
>;

/** `errors.serializers.actionProcessor`: the fields and the level of the log line of an error. */
export type ErrorFormatter = (error: unknown) => {
  errorFields: Record<string, unknown>;
  logLevel?: ActionheroLogLevel;
};
