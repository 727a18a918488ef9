/** What `require("actionhero")` and `api` hold: v29's names, and those that were added. */
import { useApp } from "../support/app";
import * as actionhero from "../../src/index";

useApp();

const { api } = actionhero;

const V29_EXPORTS = [
  "Api",
  "Process",
  "Initializer",
  "Connection",
  "Action",
  "Task",
  "Server",
  "CLI",
  "ActionProcessor",
  "utils",
  "config",
  "rebuildConfig",
  "log",
  "loggers",
  "action",
  "task",
  "cache",
  "chatRoom",
  "redis",
  "route",
  "specHelper",
  "env",
  "actionheroVersion",
  "projectRoot",
  "typescript",
  "id",
  "api",
];

/** A new name belongs here, and into the documentation. */
const ADDED = [
  "ActionheroError",
  "ActionsStatus",
  "HttpError",
  "UploadedFile",
  "auth",
  "builtinTasks",
  "connectionVerbs",
  "context",
  "defineAction",
  "defineMiddleware",
  "defineTask",
  "encodeOnce",
  "file",
  "health",
  "inputTable",
  "rateLimit",
  "withFiles",
];

test("the exports", () => {
  expect(Object.keys(actionhero).sort()).toEqual(
    [...V29_EXPORTS, ...ADDED].sort(),
  );
});

test("the exports of v29 are what they were", () => {
  const kinds = Object.fromEntries(
    V29_EXPORTS.map((name) => {
      const value = (actionhero as any)[name];
      const isClass =
        typeof value === "function" && /^[A-Z]/.test(name) ? "class" : "";
      return [name, isClass || typeof value];
    }),
  );
  for (const name of V29_EXPORTS.slice(0, 9)) expect(kinds[name]).toBe("class");
  expect(kinds).toMatchObject({
    rebuildConfig: "function",
    log: "function",
    env: "string",
    id: "string",
    actionheroVersion: "string",
    projectRoot: "string",
    typescript: "boolean",
  });
  expect(actionhero.loggers.length).toBeGreaterThan(0);
});

const FUNCTIONS: Record<string, string[]> = {
  action: ["addMiddleware", "run"],
  route: ["registerRoute"],
  redis: ["publish", "doCluster", "respondCluster"],
  specHelper: [
    "buildConnection",
    "runAction",
    "getStaticFile",
    "runTask",
    "runFullTask",
    "findEnqueuedTasks",
    "deleteEnqueuedTasks",
  ],
  cache: [
    "client",
    "lockName",
    "overrideLockName",
    "getKeys",
    "keys",
    "locks",
    "size",
    "clear",
    "dumpWrite",
    "dumpRead",
    "load",
    "destroy",
    "save",
    "push",
    "pop",
    "listLength",
    "lock",
    "unlock",
    "checkLock",
    "CacheErrorMessages",
    "redisPrefix",
    "lockPrefix",
    "lockDuration",
    "scanCount",
    "lockRetry",
  ],
  chatRoom: [
    "client",
    "addMiddleware",
    "list",
    "add",
    "destroy",
    "exists",
    "sanitizeMemberDetails",
    "roomStatus",
    "generateMemberDetails",
    "addMember",
    "removeMember",
    "broadcast",
  ],
  task: [
    "enqueue",
    "enqueueAt",
    "enqueueIn",
    "del",
    "delByFunction",
    "delDelayed",
    "scheduledAt",
    "stats",
    "queued",
    "delQueue",
    "locks",
    "delLock",
    "timestamps",
    "delayedAt",
    "allDelayed",
    "workers",
    "workingOn",
    "allWorkingOn",
    "failedCount",
    "failed",
    "removeFailed",
    "retryAndRemoveFailed",
    "cleanOldWorkers",
    "enqueueRecurrentTask",
    "enqueueAllRecurrentTasks",
    "stopRecurrentTask",
    "details",
    "addMiddleware",
  ],
};

test.each(Object.entries(FUNCTIONS))("%s has its functions", (name, keys) => {
  const namespace = (actionhero as any)[name];
  expect(Object.keys(namespace)).toEqual(expect.arrayContaining(keys));
});

test("utils has v29's keys, and v28's name of one", () => {
  expect(Object.keys(actionhero.utils).sort()).toEqual(
    [
      "argv",
      "arrayStartingMatch",
      "arrayUnique",
      "collapseObjectToArray",
      "deepCopy",
      "ensureNoTsHeaderFiles", // its name in v28
      "ensureNoTsHeaderOrSpecFiles",
      "eventLoopDelay",
      "fileUtils",
      "filterObjectForLogging",
      "filterResponseForLogging",
      "getExternalIPAddress",
      "hashMerge",
      "isPlainObject",
      "isRunning",
      "parseCookies",
      "parseHeadersForClientAddress",
      "parseIPv6URI",
      "replaceDistWithSrc",
      "safeGlobSync",
      "sleep",
      "sortGlobalMiddleware",
      "sourceRelativeLinkPath",
    ].sort(),
  );
});

const API: Record<string, string[]> = {
  actions: [
    "actions",
    "versions",
    "middleware",
    "globalMiddleware",
    "loadFile",
  ],
  connections: [
    "connections",
    "middleware",
    "globalMiddleware",
    "apply",
    "applyResponder",
    "addMiddleware",
    "cleanConnection",
  ],
  servers: ["servers"],
  chatRoom: [
    "middleware",
    "globalMiddleware",
    "messageChannel",
    "keys",
    "broadcast",
    "generateMessagePayload",
    "incomingMessage",
    "incomingMessagePerConnection",
    "runMiddleware",
    "removeMember",
  ],
  params: ["globalSafeParams", "postVariables", "buildPostVariables"],
  staticFile: [
    "searchLocations",
    "get",
    "sendFile",
    "searchPath",
    "checkExistence",
    "sendFileNotFound",
    "logRequest",
    "fileLogger",
  ],
  redis: ["clients", "subscriptionHandlers", "rpcCallbacks", "status"],
  resque: [
    "connectionDetails",
    "queue",
    "scheduler",
    "multiWorker",
    "startQueue",
    "stopQueue",
    "startScheduler",
    "stopScheduler",
    "startMultiWorker",
    "stopMultiWorker",
  ],
  routes: ["routes", "processRoute", "matchURL", "loadRoutes"],
  exceptionHandlers: ["reporters", "report", "initializer", "action", "task"],
  specHelper: ["returnMetadata", "Server", "Connection"],
  tasks: [
    "tasks",
    "jobs",
    "middleware",
    "globalMiddleware",
    "loadFile",
    "jobWrapper",
    "loadTasks",
  ],
  commands: ["initialize", "start", "stop", "restart"],
};

test.each(Object.entries(API))("api.%s has its members", (name, members) => {
  const namespace = api[name];
  for (const member of members) expect(namespace).toHaveProperty(member);
});

test("api is one object for every copy of the package", () => {
  expect((globalThis as any).api).toBe(api);
  expect(api.process).toBeInstanceOf(actionhero.Process);
  expect(api.running).toBe(true);
  expect(api.bootTime).toBeLessThanOrEqual(Date.now());
});

test("config, env and id are live", () => {
  const before = actionhero.config;
  process.env.ACTIONHERO_TITLE = "renamed";
  try {
    actionhero.rebuildConfig();
    expect(actionhero.config).not.toBe(before);
    expect(actionhero.id).toBe("renamed");
  } finally {
    delete process.env.ACTIONHERO_TITLE;
    actionhero.rebuildConfig();
  }
  expect(actionhero.id).toBe(`test-server-${process.env.JEST_WORKER_ID}`);
});

test("the numbers of ActionsStatus are public", () => {
  const { ActionsStatus } = actionhero;
  expect([
    ActionsStatus.Complete,
    ActionsStatus.GenericError,
    ActionsStatus.ServerShuttingDown,
    ActionsStatus.TooManyRequests,
    ActionsStatus.UnknownAction,
    ActionsStatus.UnsupportedServerType,
    ActionsStatus.MissingParams,
    ActionsStatus.ValidatorErrors,
  ]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
