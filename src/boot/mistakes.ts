/** Warns of mistakes in a project that would otherwise surface only in a request or job, or never. */
import * as path from "node:path";
import { limitsBehindProxies } from "../action/rateLimit";
import { inputNamesOf } from "../action/safeParams";
import { api } from "../api";
import { config, env, projectRoot, replaced } from "../config/config";
import { settings } from "../config/settings";
import {
  invalidValues,
  isKnownServerToken,
  problemsOfSettings,
  type SettingProblem,
} from "../config/knownSettings";
import { originOfSetting, replacedSettings } from "../config/load";
import { problemOfStopTimeout } from "../environment/env";
import { ActionheroError } from "../errors";
import { knownLevels, log } from "../log/log";
import { problemOfPath } from "../route/matchUrl";
import { routeSource, type RouteType } from "../route/tables";
import { didYouMean } from "../utils/closest";
import { originOf } from "../utils/modules";
import type { ActionheroConfigInterface, BaseLimit } from "../config/types";

/**
 * Report settings whose value is not accepted: by most, such a switch is off, or has its value of version 29.
 * @throws ActionheroError AH_CONFIG with `general.checkSettings`; otherwise they are warnings
 */
export function checkSettings(): void {
  const problems = invalidValues(config, knownLevels());
  const message = problemOfStopTimeout();
  if (message) problems.push({ setting: STOP_TIMEOUT, message, isName: false });
  if (problems.length === 0) return;
  if (settings().general.checkSettings) throw refusalOf(problems);
  for (const problem of problems) log(`config: ${textOf(problem)}`, "warning");
}

const STOP_TIMEOUT = "ACTIONHERO_SHUTDOWN_TIMEOUT";

function refusalOf(problems: readonly SettingProblem[]): Error {
  const error = new ActionheroError(
    "AH_CONFIG",
    problems.map(textOf).join("; "),
  );
  const [first] = problems as [SettingProblem];
  const { setting } = first;
  // its message names it
  if (setting === STOP_TIMEOUT || variableOf(first)) return error;
  const file = originOfSetting(setting, config)?.file;
  const [namespace = ""] = setting.split(".");
  error.data = file
    ? { loading: file }
    : { config: namespace === "general" ? "api" : namespace };
  return error;
}

function textOf(problem: SettingProblem): string {
  const { setting, message } = problem;
  const origin = variableOf(problem) ?? originOfSetting(setting, config)?.name;
  return `${setting} ${message}${origin ? ` (${origin})` : ""}`;
}

/** The variables of the environment that files of new projects, or the defaults, read. */
const VARIABLES: Readonly<Record<string, string>> = {
  "socket.port": "SOCKET_PORT",
  "web.allowedRequestHosts": "ALLOWED_HOSTS",
  "web.automaticRoutes": "AUTOMATIC_ROUTES",
  "web.cors.origins": "CORS_ORIGINS",
  "web.healthPort": "HEALTH_PORT",
};

/** The variable that a refused value comes from: the message has what is in it. */
function variableOf({ setting, message }: SettingProblem): string | undefined {
  const name = VARIABLES[setting];
  const value = name === undefined ? undefined : process.env[name];
  const parts = value?.split(",").map((part) => part.trim()) ?? [];
  return parts.some((part) => message.includes(JSON.stringify(part)))
    ? name
    : undefined;
}

/** In development with `general.checkSettings`: unknown settings, and values of plugins' settings of a wrong type. */
export function warnOfSettings(): void {
  if (!settings().general.checkSettings || env !== "development") return;
  for (const { setting, message } of problemsOfSettings(config))
    log(`config: ${setting} ${message}`, "warning");
}

/** Call it once the actions are loaded, which make rate limits. */
export function warnOfOverridden(): void {
  for (const message of overridden()) log(`config: ${message}`, "warning");
}

/** One message for each setting, and each option of a rate limit, that has no effect because another one, or another file, decides. */
export function overridden(): string[] {
  const limits = limitsBehindProxies().flatMap((limit) =>
    overriddenProxies(`the rate limit \`${limit.name}\``, limit, config),
  );
  return [
    ...replacedSettings(replaced, config),
    ...overriddenSettings(config),
    ...limits,
  ];
}

/** Actions and tasks, which can name middleware. */
interface Named {
  name: string;
  middleware?: unknown;
}

/** Call it once everything has started: initializers may add middleware in their `start`. */
export function warnOfUnknownMiddleware(): void {
  for (const message of unknownMiddleware()) log(message, "warning");
}

/** One message for each middleware that an action or a task names and that does not exist. */
export function unknownMiddleware(): string[] {
  const actions = Object.values(api.actions.actions).flatMap((versions) =>
    Object.values(versions),
  );
  return [
    ...unknownIn("action", actions, Object.keys(api.actions.middleware)),
    ...unknownIn(
      "task",
      Object.values(api.tasks.tasks),
      Object.keys(api.tasks.middleware),
    ),
  ];
}

/** Call it with the routes of a boot: their variables have names that actions can read. */
export function warnOfRoutes(): void {
  const seen = new Set<string>(); // a route for all methods is in each table
  for (const [method, routes] of Object.entries(api.routes.routes)) {
    for (const route of routes) {
      const problem =
        route.literal === true
          ? undefined
          : problemOfPath(route.path, inputNamesOf(route.action));
      const key = `${route.path} ${route.action}`;
      if (problem === undefined || seen.has(key)) continue;
      seen.add(key);
      log(
        `the route \`${method} ${route.path}\`${originOfRoute(route)} is not what it seems: ${problem}`,
        "warning",
      );
    }
  }
}

function originOfRoute(route: RouteType): string {
  const source = routeSource(route);
  if (source === "config") return " of config/routes";
  const versions = api.actions.actions[route.action] ?? {};
  const action = Object.values(versions)[0];
  return source === "action" && action ? fileOf(action) : "";
}

function unknownIn(
  kind: "action" | "task",
  instances: readonly Named[],
  known: readonly string[],
): string[] {
  return instances.flatMap((instance) => {
    const { name, middleware } = instance;
    if (!Array.isArray(middleware)) return [];
    const unknown = middleware
      .map(String)
      .filter((one) => !known.includes(one));
    return unknown.map(
      (one) =>
        `the ${kind} \`${name}\`${fileOf(instance)} names the middleware \`${one}\`, which does not exist${didYouMean(one, known)}`,
    );
  });
}

function fileOf(instance: object): string {
  const file = originOf(instance);
  return file === undefined ? "" : ` in ${path.relative(projectRoot, file)}`;
}

// --- Settings that have no effect, because another one decides.

/** A setting without an effect, and the reason. */
interface Overridden {
  setting: string;
  isOverridden: (config: Config) => boolean;
  reason: string;
}

type Config = ActionheroConfigInterface;

const ROWS: readonly Overridden[] = [
  {
    setting: "web.errorStatus",
    isOverridden: ({ web }) =>
      web?.returnErrorCodes !== true &&
      Object.keys(web?.errorStatus ?? {}).length > 0,
    reason: "web.returnErrorCodes is off: the status of errors is 200",
  },
  {
    setting: "web.httpHeaders: Access-Control-Allow-Origin",
    isOverridden: ({ web }) =>
      isSet(web?.cors) && namesAnOrigin(web?.httpHeaders),
    reason: "web.cors decides which pages may read responses",
  },
  {
    setting: "REDIS_SSL",
    isOverridden: ({ redis }) =>
      Boolean(process.env.REDIS_SSL) &&
      process.env.REDIS_URL?.startsWith("redis://") === true &&
      !isSet(connectionOf(redis).tls),
    reason: "REDIS_URL is without TLS: write rediss:// there",
  },
];

/** One message for each setting that has no effect. */
export function overriddenSettings(loaded: Config): string[] {
  const { rateLimit } = loaded.general ?? {};
  return [
    ...ROWS.filter((row) => row.isOverridden(loaded)).map(
      ({ setting, reason }) => `${setting} has no effect: ${reason}`,
    ),
    ...overriddenProxies("general.rateLimit", rateLimit ?? undefined, loaded),
  ];
}

/**
 * A message if `proxies` of a rate limit has no effect.
 * @param limit with `by` of any kind
 */
export function overriddenProxies(
  name: string,
  limit: (Pick<BaseLimit, "proxies"> & { by?: unknown }) | undefined,
  { web }: Config,
): string[] {
  if (!limit?.proxies) return [];
  let reason: string;
  if (limit.by === "fingerprint") reason = "clients are known by their cookie";
  else if (isSet(web?.trustProxy))
    reason = `web.trustProxy is set, and decides which address counts (${trustOf(web?.trustProxy)})`;
  else return [];
  return [`${name}: proxies has no effect: ${reason}`];
}

function trustOf(trustProxy: unknown): string {
  return [false, "", "false"].includes(trustProxy as string | false)
    ? "that of the socket, so that all clients of a proxy share one: set TRUST_PROXY"
    : "that of the client, as the trusted proxies say";
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Whether it is more than the default of version 29, `"*"`. */
function namesAnOrigin(headers: unknown): boolean {
  const origin = ((headers ?? {}) as Record<string, unknown>)[
    "Access-Control-Allow-Origin"
  ];
  return Boolean(origin) && origin !== "*";
}

function connectionOf(redis: Config[string] | undefined): { tls?: unknown } {
  const { args } = (redis?.client ?? {}) as { args?: unknown[] };
  return args?.[0] ?? {};
}

// --- Refuses to start without a secret server token, or warns.

/** Environments in which other hosts are not expected to reach the server. */
const PRIVATE_ENVIRONMENTS = ["development", "test"];

/** The place of the token, for the explanation of a missing one. */
const TOKEN_PLACE = {
  config: "api",
  remedy: "`openssl rand -hex 32` creates one; `.env` can hold it",
};

/**
 * Check `general.serverToken` before anything starts: the token allows calling functions of all nodes and forging
 * sessions.
 * @throws ActionheroError AH_CONFIG when it is missing and `general.requireServerToken` is on
 */
export function checkServerToken(): void {
  const { serverToken, requireServerToken } = settings().general;
  if (!isKnownServerToken(serverToken)) return;
  const fault = serverToken
    ? `general.serverToken is ${serverToken}, which everyone knows`
    : "general.serverToken is not set";
  if (requireServerToken === true && !PRIVATE_ENVIRONMENTS.includes(env)) {
    const error = new ActionheroError(
      "AH_CONFIG",
      `${fault}: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share`,
    );
    throw Object.assign(error, { data: TOKEN_PLACE });
  }
  if (env === "production")
    log(`${fault}: set it to a secret that all nodes share`, "warning");
}
