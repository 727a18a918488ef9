/** Logs what happens to the redis connections; an outage is one line however many attempts it takes. */
import type { Redis } from "ioredis";
import { log } from "../log/log";

/** All connections to a Sentinel or a Cluster share it, so that one outage of it is one line. */
const NO_ONE_ADDRESS = "several addresses";

interface Outage {
  /** The connections that are not back yet. */
  away: Set<string>;
  /** When the first error was told, in ms since the epoch. */
  since?: number;
}

/** Follows the connections of one start of the server. */
export class ConnectionLog {
  /** By address. */
  private readonly outages = new Map<string, Outage>();

  /** @param name how the connection is called in `config.redis` */
  follow(name: string, client: Redis): void {
    const tell = (event: string) => `Redis connection \`${name}\` ${event}`;
    const address = addressOf(client) ?? NO_ONE_ADDRESS;

    this.followErrors(name, client);
    client.on("connect", () => log(tell("connected"), "debug"));
    client.on("close", () => {
      this.outageOf(address).away.add(name);
      log(tell("closed"), "debug");
    });
    client.on("end", () => {
      this.isBack(name, address);
      log(tell("ended"), "debug");
    });
    client.on("reconnecting", () => {
      const isFirst = this.outageOf(address).since === undefined;
      log(tell("reconnecting"), isFirst ? "info" : "debug");
    });
    client.on("ready", () => {
      log(tell("ready"), "debug");
      const since = this.isBack(name, address);
      if (since !== undefined)
        log(`redis is back after ${Date.now() - since} ms`, "notice");
    });
  }

  /** For clients that were built elsewhere: their owner follows the rest. */
  followErrors(name: string, client: Redis): void {
    const address = addressOf(client) ?? NO_ONE_ADDRESS;
    client.on("error", (error: Error) => {
      const outage = this.outageOf(address);
      const isFirst = outage.since === undefined;
      outage.since ??= Date.now();
      const severity = isFirst ? "alert" : "debug"; // each attempt to reconnect fails with an error of its own
      log(`Redis connection \`${name}\` error`, severity, error);
    });
  }

  private outageOf(address: string): Outage {
    let outage = this.outages.get(address);
    if (!outage) this.outages.set(address, (outage = { away: new Set() }));
    return outage;
  }

  /**
   * Connections come back one after the other, and some fail once more meanwhile.
   * @returns since when there was an outage, when this was the last one
   */
  private isBack(name: string, address: string): number | undefined {
    const outage = this.outages.get(address);
    outage?.away.delete(name);
    if (!outage || outage.away.size > 0) return undefined;
    this.outages.delete(address);
    return outage.since;
  }
}

/** `host:port`; undefined when there is no one address (Sentinel, Cluster). */
export function addressOf(client: Redis): string | undefined {
  const options = client.options as Partial<Redis["options"]> | undefined;
  if (!options?.host || options.sentinels) return undefined;
  return options.path ?? `${options.host}:${options.port}`;
}
