/**
 * The settings that the framework reads: `settings().web.maxParams`.
 *
 * Each row reads the live `config` and states what undefined and null mean, because a project's file may set null, a
 * test may replace a namespace, and a plugin may delete a key. The rows of a namespace are getters of a class, so
 * that V8 inlines them: a read costs as much as `config.web.maxParams`. `test/config/settings.test.ts` compares the
 * rows with `config/*.ts`.
 */
import { getHeapStatistics } from "node:v8";
import { portOf } from "../utils/addresses";
import { MAX_TIMER_MS } from "../utils/promises";
import { config, env } from "./config";
import type {
  ActionheroLogLevel,
  CookieAttributes,
  CorsOptions,
  ErrorFormatter,
  ErrorReason,
  FingerprintOptions,
  FormOptions,
  HeaderRecord,
  HttpHeaders,
  HttpsOptions,
  Levels,
  OpenApiOptions,
  OverloadLimits,
  PrimusOptions,
  ProjectPaths,
  QueueNames,
  RateLimit,
  RedisEntry,
  ServerSerializers,
  SocketServerOptions,
  TrustProxy,
  WebsocketClientOptions,
  PluginConfig,
} from "./types";

type Rows = Record<string, (() => unknown) | object>;

/** The types of the values that the rows return; nested views are kept. */
export type View<R> = {
  readonly [Key in keyof R]: R[Key] extends () => infer Value ? Value : R[Key];
};

export type Settings = typeof allSettings;
export type WebSettings = Settings["web"];
export type WebsocketSettings = Settings["websocket"];

/** The settings of the live configuration. Read them at each use: `rebuildConfig` and tests change them. */
export function settings(): Settings {
  return allSettings;
}

function view<R extends Rows>(rows: R): View<R> {
  class Rows {}
  for (const [key, row] of Object.entries(rows))
    Object.defineProperty(
      Rows.prototype,
      key,
      typeof row === "function"
        ? { get: row as () => unknown, enumerable: true }
        : { value: row, enumerable: true },
    );
  return new Rows() as View<R>;
}

/** Parsing takes several times the size of a body, and the project itself needs memory. */
const HEAP_SHARE = Math.floor(getHeapStatistics().heap_size_limit / 8);
/** Responses exist already, and nothing is made of them. */
const UNREAD_HEAP_SHARE = 2 * HEAP_SHARE;

const NO_LIST: readonly never[] = Object.freeze([]);
const MISSING: readonly unknown[] = Object.freeze([null, "", undefined]);
const EMPTY: Readonly<Record<string, never>> = Object.freeze({});

/** As in version 29, any value but false enables TLS. */
const isSecure = (value: unknown) =>
  value !== false && value !== undefined && value !== null;

const general = view({
  apiVersion: () => config.general?.apiVersion,
  serverName: () => config.general?.serverName,
  welcomeMessage: () => config.general?.welcomeMessage,
  serverToken: () => config.general?.serverToken,
  requireServerToken: () => config.general?.requireServerToken === true,
  introspection: () => config.general?.introspection !== false,
  cachePrefix: () => config.general?.cachePrefix ?? "actionhero:cache:",
  lockPrefix: () => config.general?.lockPrefix ?? "actionhero:lock:",
  lockDuration: () => config.general?.lockDuration ?? 10_000,
  simultaneousActions: () => config.general?.simultaneousActions ?? 5,
  maxConnectionsPerAddress: () => config.general?.maxConnectionsPerAddress ?? 0,
  /** Undefined: a fraction of the heap limit; null and 0: no limit. */
  maxHeldBytes: (): number => {
    const bytes = config.general?.maxHeldBytes;
    return (bytes === undefined ? HEAP_SHARE : bytes) || Infinity;
  },
  /** As `maxHeldBytes`. */
  maxUnreadBytes: (): number => {
    const bytes = config.general?.maxUnreadBytes;
    return (bytes === undefined ? UNREAD_HEAP_SHARE : bytes) || Infinity;
  },
  rateLimit: (): RateLimit | undefined =>
    config.general?.rateLimit ?? undefined,
  overload: (): OverloadLimits | undefined =>
    config.general?.overload ?? undefined,
  defaultLimit: () => config.general?.defaultLimit ?? undefined,
  defaultOffset: () => config.general?.defaultOffset ?? undefined,
  enforceConnectionProperties: () =>
    config.general?.enforceConnectionProperties !== false,
  disableParamScrubbing: () => config.general?.disableParamScrubbing === true,
  enableResponseLogging: () => Boolean(config.general?.enableResponseLogging),
  filteredParams: () => config.general?.filteredParams ?? NO_LIST,
  filteredResponse: () => config.general?.filteredResponse ?? NO_LIST,
  missingParamChecks: (): readonly unknown[] =>
    config.general?.missingParamChecks ?? MISSING,
  directoryFileType: () => config.general?.directoryFileType ?? "index.html",
  fileRequestLogLevel: () =>
    (config.general?.fileRequestLogLevel ?? "info") as ActionheroLogLevel,
  maxLogFileSize: () => config.general?.maxLogFileSize ?? 10 * 1024 * 1024,
  defaultMiddlewarePriority: () =>
    config.general?.defaultMiddlewarePriority ?? 100,
  channel: () => config.general?.channel,
  rpcTimeout: () => duration(config.general?.rpcTimeout ?? 5_000),
  context: () => config.general?.context === true,
  drainDelay: () => duration(Number(config.general?.drainDelay ?? 0)),
  shutdownTimeout: () =>
    duration(Number(config.general?.shutdownTimeout ?? 10_000)),
  exitOnUnhandledRejection: () =>
    config.general?.exitOnUnhandledRejection !== false,
  explainBootErrors: () => config.general?.explainBootErrors === true,
  /** Another value than false enables it, and is then reported. */
  checkSettings: () => Boolean(config.general?.checkSettings),
  refuseUntilBooted: () => config.general?.refuseUntilBooted === true,
  uniqueNames: () => config.general?.uniqueNames === true,
  developmentMode: () => Boolean(config.general?.developmentMode),
  cliIncludeInternal: () => config.general?.cliIncludeInternal !== false,
  paths: (): ProjectPaths => config.general?.paths ?? EMPTY,
  defaultChatRoom: () => config.general?.defaultChatRoom ?? undefined,
  startingChatRooms: () => config.general?.startingChatRooms ?? EMPTY,
  autoCreateChatRooms: () => config.general?.autoCreateChatRooms === true,
  maxChatRooms: () => Number(config.general?.maxChatRooms) || 0,
  maxRoomsPerConnection: () =>
    Number(config.general?.maxRoomsPerConnection) || 0,
  maxChatBytesPerSecond: () =>
    Number(config.general?.maxChatBytesPerSecond) || 0,
  sayToOwnRoom: () => config.general?.sayToOwnRoom === true,
  sayObjects: () => config.general?.sayObjects === true,
  chatBacklogLimit: () => config.general?.chatBacklogLimit ?? 1024 * 1024,
  /** Settings of projects of version 3, which `config/*.ts` does not have. */
  cacheTrackReads: () => oldSetting("cacheTrackReads"),
  legacyStats: () => oldSetting("legacyStats"),
});

/** In ms. Beyond the longest time of node's timers it is that one: timers of a longer one would end at once. */
function duration<Value>(value: Value): Value {
  return typeof value === "number" && value > MAX_TIMER_MS
    ? (MAX_TIMER_MS as Value)
    : value;
}

function oldSetting(key: string): boolean {
  const current = config.general as Record<string, unknown> | undefined;
  return current?.[key] === true;
}

const fingerprint = () =>
  config.web?.fingerprintOptions as FingerprintOptions | undefined;
const form = () => config.web?.formOptions as FormOptions | undefined;

const web = view({
  enabled: () => config.web?.enabled === true,
  secure: () => isSecure(config.web?.secure),
  serverOptions: () =>
    (config.web?.serverOptions ?? EMPTY) as Record<string, unknown>,
  allowedRequestHosts: (): readonly string[] =>
    config.web?.allowedRequestHosts ?? NO_LIST,
  /** Undefined and null: as in version 29, headers of any client are trusted. */
  trustProxy: () => config.web?.trustProxy as TrustProxy,
  port: (): number | string | undefined => config.web?.port,
  /** Undefined, null and the empty text: on the port of the web server. */
  healthPort: () => portOf(config.web?.healthPort),
  /** Undefined and null: every address. */
  bindIP: () => config.web?.bindIP,
  https: view({
    enabled: () => config.web?.https?.enabled === true,
    port: () => config.web?.https?.port ?? 4443,
    bindIP: () => config.web?.https?.bindIP ?? config.web?.bindIP,
    /** The certificate takes precedence over `serverOptions`. */
    options: () => httpsOptions(config.web?.https),
  }),
  httpHeaders: () => config.web?.httpHeaders as HttpHeaders | undefined,
  /** Undefined and null: `httpHeaders` applies. */
  cors: () => (config.web?.cors ?? undefined) as CorsOptions | undefined,
  csrf: (): boolean | "all" => {
    const csrf: unknown = config.web?.csrf;
    return csrf === "all" || csrf === true ? csrf : false;
  },
  /** Undefined and null: no prefix. */
  urlPathForActions: () => config.web?.urlPathForActions,
  urlPathForFiles: () => config.web?.urlPathForFiles,
  /** Undefined and null: "file", but then `urlPathForFiles` may be missing. */
  rootEndpointType: () => config.web?.rootEndpointType,
  /** Not a list: no methods. */
  automaticRoutes: (): readonly string[] =>
    Array.isArray(config.web?.automaticRoutes)
      ? config.web.automaticRoutes
      : NO_LIST,
  limitPipelining: () => config.web?.limitPipelining === true,
  trace: () => config.web?.trace !== false,
  queryRouting: () => config.web?.queryRouting === true,
  strictPaths: () => config.web?.strictPaths === true,
  strictHttp: () => config.web?.strictHttp === true,
  dotfiles: () => config.web?.dotfiles ?? "allow",
  errorPages: () => config.web?.errorPages === true,
  errorStatus: () =>
    (config.web?.errorStatus ?? EMPTY) as Partial<Record<ErrorReason, number>>,
  /** False, undefined and null: no document; true: a document without additions. */
  openapi: () => openApiOptions(config.web?.openapi),
  listErrors: () => config.web?.listErrors === true,
  defaultErrorStatusCode: () => config.web?.defaultErrorStatusCode ?? 500,
  flatFileCacheDuration: () => config.web?.flatFileCacheDuration ?? 60,
  enableEtag: () => config.web?.enableEtag === true,
  saveRawBody: () => config.web?.saveRawBody === true,
  bootAttempts: () => config.web?.bootAttempts ?? 1,
  fingerprintOptions: view({
    cookieKey: () => fingerprint()?.cookieKey || "sessionID",
    toSetCookie: () => fingerprint()?.toSetCookie !== false,
    onlyStaticElements: () => fingerprint()?.onlyStaticElements === true,
    on: () => fingerprint()?.on ?? "all",
    signed: () => fingerprint()?.signed === true,
    settings: () => fingerprint()?.settings,
  }),
  cookieOptions: view({
    secrets: () => config.web?.cookieOptions?.secrets ?? NO_LIST,
    settings: () =>
      (config.web?.cookieOptions?.settings ?? EMPTY) as CookieAttributes,
  }),
  formOptions: view({
    multiples: () => form()?.multiples === true,
    /** Undefined: the temporary folder of the system. */
    uploadDir: () => form()?.uploadDir,
    keepExtensions: () => form()?.keepExtensions === true,
    maxFieldsSize: () => form()?.maxFieldsSize ?? 20 * 1024 * 1024,
    maxFileSize: () => form()?.maxFileSize ?? 200 * 1024 * 1024,
    maxTotalFileSize: () =>
      form()?.maxTotalFileSize ?? form()?.maxFileSize ?? 200 * 1024 * 1024,
    /** Undefined and 0: `maxParams`. */
    maxFields: () => form()?.maxFields || undefined,
    maxFiles: () => form()?.maxFiles ?? 100,
    hashAlgorithm: () => form()?.hashAlgorithm || undefined,
  }),
  formBrackets: () => config.web?.formBrackets === true,
  uploads: () => config.web?.uploads ?? "all",
  maxUploadBytes: () => config.web?.maxUploadBytes ?? 2 * 1024 ** 3,
  maxUploadWrites: () => config.web?.maxUploadWrites ?? 8,
  /** Undefined and null: `formOptions.maxFieldsSize`. */
  maxJsonSize: () => config.web?.maxJsonSize ?? undefined,
  maxBodyDepth: () => config.web?.maxBodyDepth ?? 200,
  maxParams: () => config.web?.maxParams ?? 10_000,
  maxArrayItems: () => config.web?.maxArrayItems ?? 1_000_000,
  headersTimeout: () => duration(config.web?.headersTimeout ?? 60_000),
  requestTimeout: () => duration(config.web?.requestTimeout ?? 300_000),
  keepAliveTimeout: () => duration(config.web?.keepAliveTimeout ?? 5_000),
  sendTimeout: () => duration(config.web?.sendTimeout ?? 120_000),
  /** Undefined and null: JSON is not indented. */
  padding: () => config.web?.padding ?? undefined,
  metadataOptions: view({
    serverInformation: () =>
      Boolean(config.web?.metadataOptions?.serverInformation),
    requesterInformation: () =>
      Boolean(config.web?.metadataOptions?.requesterInformation),
  }),
  legacyEnvelope: () => config.web?.legacyEnvelope === true,
  /** Undefined and null: errors are sent with the status 200. */
  returnErrorCodes: () => config.web?.returnErrorCodes === true,
  compress: () => config.web?.compress === true,
  extensionTypes: () => config.web?.extensionTypes ?? "all",
  nosniff: () => config.web?.nosniff === true,
  jsonp: () => config.web?.jsonp ?? true,
  compressThreshold: () => config.web?.compressThreshold ?? 1024,
  queryParseOptions: () =>
    config.web?.queryParseOptions as Record<string, unknown> | undefined,
});

function httpsOptions(https: HttpsOptions | undefined): object {
  const {
    enabled: _enabled,
    port: _port,
    bindIP: _bindIP,
    serverOptions,
    ...certificate
  } = https ?? {};
  return { ...certificate, ...serverOptions };
}

function openApiOptions(openapi: unknown): OpenApiOptions | undefined {
  if (typeof openapi === "object" && openapi !== null) return openapi;
  return openapi === true ? {} : undefined;
}

const socket = view({
  /** Undefined and null: enabled in development, if the port is free. */
  enabled: () =>
    typeof config.socket?.enabled === "boolean"
      ? config.socket.enabled
      : undefined,
  secure: () => isSecure(config.socket?.secure),
  serverOptions: () =>
    (config.socket?.serverOptions ?? EMPTY) as SocketServerOptions,
  port: () => config.socket?.port ?? 5000,
  /** Undefined and null: every address. */
  bindIP: () => config.socket?.bindIP ?? null,
  setKeepAlive: () => config.socket?.setKeepAlive !== false,
  delimiter: () => String(config.socket?.delimiter ?? "\n"),
  maxDataLength: () => config.socket?.maxDataLength ?? 1024 * 1024,
  maxParamBytes: () => config.socket?.maxParamBytes ?? 0,
  maxConnections: () => config.socket?.maxConnections ?? 0,
  idleTimeout: () => duration(config.socket?.idleTimeout ?? 0),
  maxBufferedBytes: () => config.socket?.maxBufferedBytes ?? 16 * 1024 * 1024,
  sendTimeout: () => duration(config.socket?.sendTimeout ?? 120_000),
  pingInterval: () => duration(config.socket?.pingInterval ?? 0),
  legacyReplies: () => config.socket?.legacyReplies === true,
  verbs: () => config.socket?.verbs ?? NO_LIST,
  /** Not in `config/socket.ts`. */
  bootAttempts: () =>
    (config.socket as { bootAttempts?: number } | undefined)?.bootAttempts ?? 1,
});

const primus = () => config.websocket?.server as PrimusOptions | undefined;

const websocket = view({
  enabled: () => config.websocket?.enabled === true,
  /** Undefined and null: every listener of the web server. */
  bind: () => config.websocket?.bind,
  clientUrl: () => config.websocket?.clientUrl ?? "window.location.origin",
  clientJsPath: () => config.websocket?.clientJsPath,
  /** Undefined and null: the client is not written. */
  clientJsName: () => config.websocket?.clientJsName,
  destroyClientsOnShutdown: () =>
    config.websocket?.destroyClientsOnShutdown === true,
  maxBufferedBytes: () =>
    config.websocket?.maxBufferedBytes ?? 16 * 1024 * 1024,
  maxMessagesPerSecond: () => config.websocket?.maxMessagesPerSecond ?? 0,
  maxConnections: () => config.websocket?.maxConnections ?? 0,
  checkHost: () => config.websocket?.checkHost === true,
  closeTimeout: () => duration(config.websocket?.closeTimeout ?? 5_000),
  verbs: () => config.websocket?.verbs ?? NO_LIST,
  server: view({
    pathname: () => primus()?.pathname ?? "/primus",
    pingInterval: () => duration(primus()?.pingInterval ?? 30_000),
    maxLength: () => primus()?.maxLength ?? 10 * 1024 * 1024,
    origins: () => primus()?.origins ?? "*",
    methods: () => primus()?.methods ?? "GET,HEAD,PUT,POST,DELETE,OPTIONS",
    /** Undefined and null: true, as in Primus. */
    credentials: () => primus()?.credentials !== false,
    maxAge: () => primus()?.maxAge ?? "30 days",
    exposed: () => primus()?.exposed ?? undefined,
    compression: () => primus()?.compression ?? false,
    authorization: () => primus()?.authorization ?? undefined,
    idGenerator: () => primus()?.idGenerator ?? undefined,
  }),
  client: () => (config.websocket?.client ?? EMPTY) as WebsocketClientOptions,
  /** The cookie that the browser client reads: that of the web server, unless the client's options name another. */
  cookieKey: () =>
    (config.websocket?.client as WebsocketClientOptions | undefined)
      ?.cookieKey || web.fingerprintOptions.cookieKey,
});

const redis = view({
  connectTimeout: () => duration(config.redis?.connectTimeout ?? 10_000),
  operationTimeout: () => duration(config.redis?.operationTimeout ?? 10_000),
  scanCount: () => config.redis?.scanCount || 1000,
  stopTimeout: () => duration(config.redis?.stopTimeout ?? 100),
  heartbeatInterval: () => duration(config.redis?.heartbeatInterval ?? 5_000),
  heartbeatTimeout: () => duration(config.redis?.heartbeatTimeout ?? 20_000),
  chatChannelPerRoom: () => Boolean(config.redis?.chatChannelPerRoom),
  client: () => config.redis?.client as RedisEntry | undefined,
  subscriber: () => config.redis?.subscriber as RedisEntry | undefined,
  tasks: () => config.redis?.tasks as RedisEntry | undefined,
});

const tasks = view({
  scheduler: () => config.tasks?.scheduler === true,
  queues: () => (config.tasks?.queues ?? ["*"]) as QueueNames,
  /** Undefined and null: no workers. */
  minTaskProcessors: () => config.tasks?.minTaskProcessors ?? 0,
  maxTaskProcessors: () => config.tasks?.maxTaskProcessors ?? 0,
  checkTimeout: () => duration(config.tasks?.checkTimeout ?? 500),
  maxEventLoopDelay: () => config.tasks?.maxEventLoopDelay ?? 5,
  timeout: () => duration(config.tasks?.timeout ?? 5_000),
  heartbeatTimeout: () => duration(config.tasks?.heartbeatTimeout ?? 30_000),
  stuckWorkerTimeout: () => config.tasks?.stuckWorkerTimeout ?? 3_600_000,
  unknownJobs: () => config.tasks?.unknownJobs ?? "fail",
  unknownJobTimeout: () => config.tasks?.unknownJobTimeout ?? 600_000,
  carryContext: () => config.tasks?.carryContext === true,
  sortInputs: () => config.tasks?.sortInputs === true,
  builtin: (): readonly string[] => config.tasks?.builtin ?? NO_LIST,
  retryStuckJobs: () => config.tasks?.retryStuckJobs === true,
  /** A missing level: no line is logged. */
  workerLogging: () => (config.tasks?.workerLogging ?? EMPTY) as Levels,
  schedulerLogging: () => (config.tasks?.schedulerLogging ?? EMPTY) as Levels,
  resque_overrides: () => config.tasks?.resque_overrides ?? EMPTY,
  connectionOptions: view({
    tasks: () => config.tasks?.connectionOptions?.tasks ?? EMPTY,
  }),
});

/** The texts of errors are in `errorMessage.ts`. */
const errors = view({
  reportUnknownActions: () => Boolean(config.errors?.reportUnknownActions),
  exposeMessages: () => config.errors?.exposeMessages ?? "all",
  keepInline: () => config.errors?.keepInline === true,
  clientErrorLogLevel: () =>
    (config.errors?.clientErrorLogLevel ?? "error") as ActionheroLogLevel,
  serializers: view({
    servers: () =>
      (config.errors?.serializers?.servers ?? EMPTY) as ServerSerializers,
    actionProcessor: () =>
      (config.errors?.serializers?.actionProcessor ?? undefined) as
        ErrorFormatter | undefined,
  }),
});

const logger = view({
  format: () => config.logger?.format ?? "text",
  redact: () => config.logger?.redact ?? NO_LIST,
  loggers: (): readonly unknown[] => config.logger?.loggers ?? NO_LIST,
  /** Undefined and null: strings are not truncated. */
  maxLogStringLength: () => config.logger?.maxLogStringLength ?? Infinity,
  maxLogArrayLength: () => config.logger?.maxLogArrayLength ?? 10,
});

const metrics = view({
  enabled: () => config.metrics?.enabled === true,
  /** Undefined, null and the empty text: no separate port. */
  port: () => portOf(config.metrics?.port),
  bindIP: () => config.metrics?.bindIP ?? "127.0.0.1",
  path: () => config.metrics?.path ?? "/metrics",
  /** Undefined and null: not on the web server's port. */
  authorize: () => config.metrics?.authorize ?? undefined,
  maxSeries: () => config.metrics?.maxSeries ?? 1_000,
});

const tracing = view({
  enabled: () => config.tracing?.enabled === true,
});

const session = view({
  enabled: () => config.session?.enabled === true,
  ttl: () => config.session?.ttl ?? 86_400_000,
  maxLifetime: () => config.session?.maxLifetime ?? 2_592_000_000,
  maxBytes: () => config.session?.maxBytes ?? 65_536,
  cookie: () => config.session?.cookie ?? "session",
  param: () => config.session?.param ?? "sessionToken",
});

const health = view({
  enabled: () => config.health?.enabled === true,
  livePath: () => config.health?.livePath ?? "/healthz",
  readyPath: () => config.health?.readyPath ?? "/readyz",
  cacheFor: () => config.health?.cacheFor ?? 1_000,
  timeout: () => duration(config.health?.timeout ?? 1_000),
});

const securityHeaders = view({
  enabled: () => config.securityHeaders?.enabled === true,
  headers: () => (config.securityHeaders?.headers ?? EMPTY) as HeaderRecord,
  tlsHeaders: () =>
    (config.securityHeaders?.tlsHeaders ?? EMPTY) as HeaderRecord,
});

/** Whether the TCP server is to be started: as the configuration says, otherwise in development. */
export function isSocketServerEnabled(): boolean {
  return socket.enabled ?? env === "development";
}

const allSettings = view({
  general,
  web,
  socket,
  websocket,
  redis,
  tasks,
  errors,
  logger,
  health,
  metrics,
  tracing,
  session,
  securityHeaders,
  plugins: (): PluginConfig => config.plugins ?? EMPTY,
  routes: () => config.routes ?? EMPTY,
});
