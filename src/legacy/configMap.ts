/** The `config.js` of version 3, and what its settings are called now. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as winston from "winston";
import type { LoggerTools } from "../log/loggerTools";
import { isPlainObject } from "../utils/objects";

type Settings = Record<string, unknown>;

/** Settings by their namespace of today. */
export type Namespaces = Record<string, Settings>;

const OLD_SECTIONS = [
  "log",
  "commonWeb",
  "httpServer",
  "httpsServer",
  "tcpServer",
  "webSockets",
];

/** The port that version 3 listened on for HTTPS. */
const HTTPS_PORT = 4443;

/**
 * The defaults of a project of version 3.
 * @param root the project's folder
 * @param ownFolders where the framework finds what makes such projects run
 */
export function oldDefaults(
  root: string,
  ownFolders: { initializers: string },
): Namespaces {
  const inRoot = (name: string) => path.join(root, name);
  return {
    general: {
      defaultLimit: 100,
      defaultOffset: 0,
      autoCreateChatRooms: true,
      sayToOwnRoom: true,
      legacyStats: true,
      defaultChatRoom: "defaultRoom",
      paths: {
        action: [inRoot("actions")],
        task: [inRoot("tasks")],
        // the framework's own first: it makes the files of the project loadable
        initializer: [ownFolders.initializers, inRoot("initializers")],
        server: [inRoot("servers")],
        cli: [inRoot("bin")],
        public: [inRoot("public")],
        log: [inRoot("log")],
        pid: [inRoot("pids")],
        plugin: [inRoot("node_modules")],
      },
    },
    web: {
      queryRouting: true,
      legacyEnvelope: true,
      rootEndpointType: "api",
      automaticRoutes: ["get", "post", "put", "delete"],
      metadataOptions: { serverInformation: true, requesterInformation: true },
      flatFileCacheDuration: 0,
    },
    socket: { verbs: ["roomChange"], legacyReplies: true },
    websocket: { verbs: ["roomChange"] },
    routes: {
      get: [
        {
          path: "/file/:fileName",
          action: "file",
          matchTrailingPathParts: true,
        },
      ],
    },
  };
}

/** The settings of a `config.js`; sections and settings that are not of version 3 stay as they are. */
export function mapConfigData(
  { ...data }: ConfigData,
  root: string,
): Namespaces {
  for (const section of Object.keys(data))
    if (data[section] === null) delete data[section]; // JSON has no other way to say "not given"
  const mapped: Namespaces = {
    general: generalOf(data, root),
    errors: errorsOf(data, root),
    web: web(data, root),
    socket: listener(data.tcpServer),
    websocket: websocket(data),
    redis: redis(data),
    tasks: tasks(data),
    logger: data.log ? { loggers: legacyLoggers(data.log, root) } : {},
  };
  for (const [section, settings] of Object.entries(data)) {
    if (OLD_SECTIONS.includes(section) || !isPlainObject(settings)) continue;
    if (section === "general" || section === "redis") continue;
    const known = mapped[section];
    mapped[section] = known
      ? mergeSettings(known, settings)
      : withOwnFunctions(settings);
  }
  return Object.fromEntries(
    Object.entries(mapped).map(([name, settings]) => [name, given(settings)]),
  );
}

/** `settings` over `base`; unlike the framework's own merge it calls no function: some are settings. */
export function mergeSettings(base: Settings, settings: Settings): Settings {
  const merged = { ...base };
  for (const [name, value] of Object.entries(settings)) {
    const before = merged[name];
    merged[name] =
      isPlainObject(before) && isPlainObject(value)
        ? mergeSettings(before, value)
        : value;
  }
  return merged;
}

/** The project's own settings that are functions stay functions. */
function withOwnFunctions(settings: Settings): Settings {
  const hasFunctions = Object.values(settings).some(
    (value) => typeof value === "function",
  );
  return hasFunctions ? { ...settings, _toExpand: false } : settings;
}

/** The settings that have a value. */
function given(settings: Settings): Settings {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  );
}

function generalOf({ general = {}, log = {} }: ConfigData, root: string) {
  const {
    flatFileDirectory,
    flatFileNotFoundMessage: _notFound,
    flatFileIndexPageNotFoundMessage: _noIndex,
    workers: _workers,
    apiBaseDir: _root,
    ...same
  } = general;
  const paths: Settings = {};
  if (flatFileDirectory) paths.public = [path.resolve(root, flatFileDirectory)];
  if (log.logFolder) paths.log = [path.resolve(root, log.logFolder)];
  const settings: Settings = { ...same };
  if (Object.keys(paths).length > 0)
    settings.paths = { ...(same.paths as Settings), ...paths };
  return settings;
}

function errorsOf({ general = {} }: ConfigData, root: string): Settings {
  const {
    flatFileDirectory = "public",
    flatFileNotFoundMessage: notFound,
    flatFileIndexPageNotFoundMessage: noIndex = notFound,
  } = general;
  if (notFound === undefined && noIndex === undefined) return {};
  const folder = path.resolve(root, flatFileDirectory);
  return {
    fileNotFound: ({ params }: { params?: { file?: unknown } }) =>
      (isFolder(folder, params?.file) ? noIndex : notFound) ??
      "that file is not found",
  };
}

/** Whether a name leads to a folder within `folder`. */
function isFolder(folder: string, name: unknown): boolean {
  const target = path.join(folder, String(name).replaceAll("\0", ""));
  if (target !== folder && !target.startsWith(folder + path.sep)) return false;
  try {
    return fs.statSync(target).isDirectory();
  } catch {
    return false; // not there, or no name that a file can have
  }
}

function web(data: ConfigData, root: string): Settings {
  const { commonWeb = {}, httpServer, httpsServer } = data;
  const { rootEndpointType, ...same } = commonWeb;
  const settings: Settings = {
    ...same,
    rootEndpointType: rootEndpointType === "public" ? "file" : rootEndpointType,
  };
  const http = listener(httpServer);
  const second = secureListener(httpsServer, root);
  if (second === undefined || http.enabled !== false)
    return { ...settings, ...http, https: second };
  const { keyFile, certFile, ...https } = second;
  return {
    ...settings,
    ...https,
    secure: true,
    serverOptions: { keyFile, certFile },
  };
}

function secureListener(https: ConfigData["httpsServer"], root: string) {
  if (https?.enable !== true) return undefined;
  const resolve = (file: string | undefined) =>
    file === undefined ? undefined : path.resolve(root, file);
  return {
    port: HTTPS_PORT,
    ...given(listener(https)),
    keyFile: resolve(https.keyFile),
    certFile: resolve(https.certFile),
  };
}

function listener({ enable, port, bindIP }: ConfigData["tcpServer"] = {}) {
  return { enabled: enable, port, bindIP };
}

function websocket({ webSockets = {}, httpServer, httpsServer }: ConfigData) {
  const { enable, bind } = webSockets;
  // a websocket is an upgraded request
  const hasNoWeb = httpServer?.enable === false && httpsServer?.enable !== true;
  return { enabled: hasNoWeb ? false : enable, bind };
}

function redis({ redis: settings }: ConfigData): Settings {
  if (!settings) return {};
  const { enable, host, port, password, DB, options, ...same } = settings;
  const isOld = [enable, host, port, password, DB, options].some(
    (value) => value !== undefined,
  );
  if (!isOld) return same;
  const server = { host, port, password, db: DB, ...options };
  return {
    ...same,
    ...redisClients(enable === false ? undefined : given(server)),
  };
}

function tasks({ general: { workers } = {} }: ConfigData): Settings {
  return { minTaskProcessors: workers, maxTaskProcessors: workers };
}

// --- The loggers that a `config.js` of version 3 asks for.

type Builder = (config: unknown, tools: LoggerTools) => winston.LoggerOptions;

/** The console, and a file when one is named; none when logging is off. */
function legacyLoggers(
  { logging, logFolder, logFile }: NonNullable<ConfigData["log"]>,
  root: string,
): Builder[] {
  if (logging === false) return [];
  const loggers: Builder[] = [
    (_config, tools) => ({
      ...levels(),
      format: tools.consoleFormat(),
      transports: [new tools.ConsoleTransport()],
    }),
  ];
  if (logFolder === undefined && logFile === undefined) return loggers;
  const filename = path.resolve(root, logFolder ?? "log", logFile ?? "api.log");
  loggers.push((_config, tools) => ({
    ...levels(),
    format: tools.jsonFormat(),
    transports: [new tools.FileTransport({ filename })],
  }));
  return loggers;
}

function levels() {
  return {
    level: process.env.LOG_LEVEL ?? "info",
    levels: winston.config.syslog.levels,
  };
}

// --- The connections to redis that a `config.js` of version 3 asks for.

const PORT = 6379;
const MAX_RETRY_MS = 1000;

/** @param server undefined: the engine inside this process */
function redisClients(server: Record<string, unknown> | undefined) {
  const connection = server
    ? {
        konstructor: Redis,
        args: [{ host: "127.0.0.1", port: PORT, retryStrategy, ...server }],
        buildNew: true,
      }
    : { konstructor: EmbeddedRedis, args: [{}], buildNew: true };
  return { client: connection, subscriber: connection, tasks: connection };
}

function Redis(...args: unknown[]): object {
  const { Redis: Client } = require("ioredis") as {
    Redis: new (...args: unknown[]) => object;
  };
  return new Client(...args);
}

function EmbeddedRedis(...args: unknown[]): object {
  const Client = require("ioredis-mock") as new (...args: unknown[]) => object;
  return new Client(...args);
}

/** How long to wait before attempt number `times`, in ms. */
function retryStrategy(times: number): number {
  return Math.min(times * 50, MAX_RETRY_MS);
}

// --- The `config.js` of version 3. Its keys are all optional.

type Section = Record<string, unknown>;

interface Listener {
  enable?: boolean;
  port?: number | string;
  bindIP?: string | null;
}

export interface ConfigData {
  general?: {
    flatFileDirectory?: string;
    flatFileNotFoundMessage?: string;
    flatFileIndexPageNotFoundMessage?: string;
    defaultChatRoom?: string;
    workers?: number;
    [setting: string]: unknown;
  };
  log?: {
    logging?: boolean;
    logFolder?: string;
    logFile?: string;
    logRequests?: boolean;
  };
  redis?: {
    enable?: boolean;
    host?: string;
    port?: number;
    password?: string | null;
    DB?: number | null;
    options?: Section | null;
    [setting: string]: unknown;
  };
  commonWeb?: {
    httpHeaders?: Section;
    urlPathForActions?: string;
    urlPathForFiles?: string;
    rootEndpointType?: "api" | "public" | "file";
  };
  httpServer?: Listener;
  httpsServer?: Listener & { keyFile?: string; certFile?: string };
  tcpServer?: Listener;
  webSockets?: {
    enable?: boolean;
    bind?: "http" | "https";
    logLevel?: number;
    settings?: unknown[];
  };
  [section: string]: unknown;
}

/**
 * The `configData` of the project's `config.js`, or the contents of its `config.json`.
 * @throws Error naming the file that cannot be read
 */
export function readConfigData(root: string): ConfigData {
  const script = path.join(root, "config.js");
  if (fs.existsSync(script)) {
    const { configData } = attempt(
      script,
      () => require(script) as { configData?: ConfigData },
    );
    return configData ?? {};
  }
  const json = path.join(root, "config.json");
  if (!fs.existsSync(json)) return {};
  return attempt(json, () => {
    const value = JSON.parse(fs.readFileSync(json, "utf8")) as ConfigData & {
      configData?: ConfigData;
    };
    return value.configData ?? value;
  });
}

function attempt<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`cannot read ${file}: ${String(error)}`, { cause: error });
  }
}
