/** Logs what happens to the redis connections; an outage is one line however many attempts it takes. */
import type { Redis } from "ioredis";
import { log } from "../log/log";

/** All connections to a Sentinel or a Cluster share it, so that one outage of it is one line. */
const NO_ONE_ADDRESS = "several addresses";

type Outages = Map<string, number>;

/** Follows the connections of one start of the server. */
export class ConnectionLog {
  /** When each address went away, in ms since the epoch. */
  private readonly outages: Outages = new Map();

  /** @param name how the connection is called in `config.redis` */
  follow(name: string, client: Redis): void {
    const tell = (event: string) => `Redis connection \`${name}\` ${event}`;
    const address = addressOf(client) ?? NO_ONE_ADDRESS;

    this.followErrors(name, client);
    client.on("connect", () => log(tell("connected"), "debug"));
    client.on("close", () => log(tell("closed"), "debug"));
    client.on("end", () => log(tell("ended"), "debug"));
    client.on("reconnecting", () => {
      const isFirst = !this.outages.has(address);
      log(tell("reconnecting"), isFirst ? "info" : "debug");
    });
    client.on("ready", () => {
      const since = this.outages.get(address);
      this.outages.delete(address);
      log(tell("ready"), "debug");
      if (since !== undefined)
        log(`redis is back after ${Date.now() - since} ms`, "notice");
    });
  }

  /** For clients that were built elsewhere: their owner follows the rest. */
  followErrors(name: string, client: Redis): void {
    const address = addressOf(client) ?? NO_ONE_ADDRESS;
    client.on("error", (error: Error) => {
      const isFirst = !this.outages.has(address);
      if (isFirst) this.outages.set(address, Date.now());
      const severity = isFirst ? "alert" : "debug"; // each attempt to reconnect fails with an error of its own
      log(`Redis connection \`${name}\` error`, severity, error);
    });
  }
}

/** `host:port`; undefined when there is no one address (Sentinel, Cluster). */
export function addressOf(client: Redis): string | undefined {
  const options = client.options as Partial<Redis["options"]> | undefined;
  if (!options?.host || options.sentinels) return undefined;
  return options.path ?? `${options.host}:${options.port}`;
}
