const namespace = "redis";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** Any of these selects a redis server; without them, redis runs in this process. */
const REDIS_VARIABLES = [
  "REDIS_URL",
  "REDIS_HOST",
  "REDIS_PORT",
  "REDIS_DB",
  "REDIS_PASSWORD",
  "REDIS_SSL",
];

export const DEFAULT = {
  [namespace]: () => {
    const isNamed = REDIS_VARIABLES.some((name) => process.env[name]);
    const konstructor = isNamed ? Redis : EmbeddedRedis;
    const args = [connectionOptions()];

    return {
      // functions are values, not called when the config is built
      _toExpand: false,
      // how long the boot waits for redis, in ms
      connectTimeout: 10 * 1000,
      // the timeout of an operation, including reconnects, in ms
      operationTimeout: 10 * 1000,
      // the number of keys that redis inspects per SCAN
      scanCount: 1000,
      // how long stop() waits for redis to disconnect, in ms
      stopTimeout: 100,
      // the interval of heartbeats of this node, and the silence after which it counts as dead, in ms
      heartbeatInterval: 5 * 1000,
      heartbeatTimeout: 20 * 1000,
      // publish chat on one channel per room; requires that every node of the cluster enables this (v29 nodes cannot)
      chatChannelPerRoom: false,

      // commands and publishing
      client: { konstructor, args, buildNew: true },
      // subscriptions only
      subscriber: { konstructor, args, buildNew: true },
      // the task queue
      tasks: { konstructor, args, buildNew: true },
    };
  },
};

/** A real server. */
function Redis(...args: unknown[]): object {
  const { Redis: Client } = require("ioredis");
  return new Client(...args);
}

/** The in-process engine: nothing to install, not shared with other processes, lost when the process ends. */
function EmbeddedRedis(...args: unknown[]): object {
  const Client = require("ioredis-mock");
  return new Client(...args);
}

/** The parts of a URL that are used; empty if REDIS_URL does not contain them. */
type UrlParts = Pick<
  URL,
  "protocol" | "hostname" | "port" | "username" | "password" | "pathname"
>;

const NO_URL: UrlParts = {
  protocol: "",
  hostname: "",
  port: "",
  username: "",
  password: "",
  pathname: "",
};

function redisUrl(): UrlParts {
  const text = process.env.REDIS_URL;
  if (!text) return NO_URL;
  // without a scheme, the name of the host would be taken for one
  if (!/^rediss?:\/\//i.test(text) || !URL.canParse(text))
    throw new Error(
      "REDIS_URL must be a URL that begins with redis:// or rediss://, such as redis://localhost:6379/0",
    );
  return new URL(text);
}

function connectionOptions() {
  const { protocol, hostname, port, username, password, pathname } = redisUrl();
  const isSecure = protocol
    ? protocol === "rediss:"
    : Boolean(process.env.REDIS_SSL);
  const db = pathname.replace(/^\/|\/$/g, "");

  return {
    // IPv6 addresses are in brackets in URLs
    host:
      hostname.replace(/^\[|\]$/g, "") || process.env.REDIS_HOST || "127.0.0.1",
    port: port ? Number(port) : numberIn("REDIS_PORT", "a port", 6379),
    username: decode(username),
    password: decode(password) ?? (process.env.REDIS_PASSWORD || null),
    db: db
      ? wholeNumber(db, "the database at the end of REDIS_URL must be a number")
      : numberIn(
          "REDIS_DB",
          "the number of a database",
          Number(process.env.JEST_WORKER_ID || 0),
        ),
    tls: isSecure ? { rejectUnauthorized: false } : undefined,
    retryStrategy,
  };
}

/** A variable that is a number, or the default. */
function numberIn(name: string, what: string, byDefault: number): number {
  const text = process.env[name];
  return text ? wholeNumber(text, `${name} must be ${what}`) : byDefault;
}

function wholeNumber(text: string, problem: string): number {
  if (!/^\d+$/.test(text.trim())) throw new Error(problem);
  return Number(text);
}

let warned = false;

/** The delay before attempt number `times`, in ms. */
function retryStrategy(times: number): number {
  if (!warned) {
    warned = true;
    console.error(
      "Unable to connect to Redis - please check your Redis config!",
    );
  }
  return Math.min(times * 50, 1000);
}

/** Names and passwords in URLs are percent-encoded. */
function decode(part: string): string | undefined {
  try {
    return part ? decodeURIComponent(part) : undefined;
  } catch {
    throw new Error("name and password in REDIS_URL must be percent-encoded");
  }
}
