/** One redis client by the project's settings, for commands that only inspect redis. */
import { isEmbedded } from "../redis/engine";

/** The redis commands in use here. */
export interface RedisClient {
  info(): Promise<string>;
  config(command: "GET", setting: string): Promise<string[]>;
  /** Seconds and microseconds. */
  time?(): Promise<(string | number)[]>;
  disconnect(): void;
  on(event: "error", listener: (error: Error) => void): void;
}

/** One entry of `config.redis`. */
interface ClientConfig {
  konstructor: ((...args: unknown[]) => RedisClient) &
    (new (...args: unknown[]) => RedisClient);
  args: unknown[];
  buildNew?: boolean;
}

/**
 * A client as `config.redis.client` describes it; the caller disconnects it.
 * @param onError called for every failed attempt to connect
 */
export function openClient(
  redis: Record<string, unknown>,
  onError: (error: Error) => void = () => undefined,
): RedisClient {
  const { konstructor, args, buildNew } = redis.client as ClientConfig;
  const client =
    buildNew === false ? konstructor(...args) : new konstructor(...args);
  client.on("error", onError);
  return client;
}

/** Whether these settings select the in-process engine. */
export function usesEmbeddedRedis(redis: Record<string, unknown>): boolean {
  const client = openClient(redis);
  client.disconnect();
  return isEmbedded(client);
}
