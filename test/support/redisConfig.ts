/** Points the configuration at a redis, for code that is tested without a Process. */
import { config, rebuildConfig } from "../../src/config/config";

type Variables = Partial<
  Record<
    | "REDIS_URL"
    | "REDIS_HOST"
    | "REDIS_PORT"
    | "REDIS_DB"
    | "REDIS_PASSWORD"
    | "REDIS_SSL",
    string
  >
>;

const NAMES = [
  "REDIS_URL",
  "REDIS_HOST",
  "REDIS_PORT",
  "REDIS_DB",
  "REDIS_PASSWORD",
  "REDIS_SSL",
];

/** Read the configuration with these variables only; `{}` is the embedded engine. */
export function useRedisVariables(variables: Variables): void {
  for (const name of NAMES) delete process.env[name];
  Object.assign(process.env, variables);
  rebuildConfig();
}

/** All three connections are made in this way from now on, until the configuration is read again. */
export function useRedisClients(
  konstructor: unknown,
  args: unknown[],
  buildNew = true,
): void {
  const connection = { konstructor, args, buildNew };
  Object.assign(config.redis, {
    client: connection,
    subscriber: connection,
    tasks: connection,
  });
}
