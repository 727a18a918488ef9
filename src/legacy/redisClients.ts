/** The connections to redis that a `config.js` of version 3 asks for. */

const PORT = 6379;
const MAX_RETRY_MS = 1000;

/** @param server undefined: the engine inside this process */
export function redisClients(server: Record<string, unknown> | undefined) {
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
