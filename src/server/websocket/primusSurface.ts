/** The type of `api.servers.servers.websocket.server`: the parts of a Primus server that projects use. */
import { EventEmitter } from "node:events";
import type { Spark } from "./spark";
import type { WebSocketServer } from "./webSocketServer";

/** A client of the browser library or of `Socket`. */
export interface PrimusClient extends EventEmitter {
  open(): this;
  end(): this;
  write(data: unknown): boolean;
  id(callback: (id: string) => void): void;
}

export type PrimusClientClass = new (
  url: string,
  options?: object,
) => PrimusClient;

/** Emits `connection` and `disconnection`, each with the spark. */
export class PrimusSurface extends EventEmitter {
  constructor(private readonly host: WebSocketServer) {
    super();
  }

  /** A client for node: `new Socket(url)`. */
  get Socket(): PrimusClientClass {
    return this.host.clientClass();
  }

  /** The number of clients. */
  get connected(): number {
    return this.host.sparks.size;
  }

  /** The source of the browser library, which defines `Primus`. */
  library(): string {
    return this.host.library();
  }

  /** The client with this id (`spark.id`). */
  spark(id: string): Spark | undefined {
    for (const spark of this.host.sparks) if (spark.id === id) return spark;
    return undefined;
  }

  /** Call a function for every client, until it returns false. */
  forEach(
    callback: (spark: Spark, id: string, count: number) => unknown,
  ): this {
    const sparks = [...this.host.sparks];
    for (const spark of sparks) {
      if (callback(spark, spark.id, sparks.length) === false) break;
    }
    return this;
  }

  /** Send a value to every client. */
  write(data: unknown): boolean {
    for (const spark of this.host.sparks) spark.write(data);
    return true;
  }

  /** End every client, permanently unless `reconnect` is true. The HTTP server is not affected. */
  destroy(options: { reconnect?: boolean } = {}, callback?: () => void): this {
    for (const spark of this.host.sparks) spark.end(undefined, options);
    if (callback) setImmediate(callback);
    return this;
  }
}
