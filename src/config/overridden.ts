/** Settings that have no effect, because another one decides. */
import type { ActionheroConfigInterface, BaseLimit } from "./types";

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
export function overriddenSettings(config: Config): string[] {
  const { rateLimit } = config.general ?? {};
  return [
    ...ROWS.filter((row) => row.isOverridden(config)).map(
      ({ setting, reason }) => `${setting} has no effect: ${reason}`,
    ),
    ...overriddenProxies("general.rateLimit", rateLimit ?? undefined, config),
  ];
}

/**
 * The same for `proxies` of a rate limit.
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
