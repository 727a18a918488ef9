/**
 * Keeps the subscriptions of a connection to redis. ioredis itself renews, over a new connection, what redis has confirmed;
 * what was on its way when the connection was lost is forgotten when its command is given up.
 */
import type { Command, Redis } from "ioredis";

/** How long after a failed attempt the next one begins, in ms, while the connection is open. */
const RETRY_MS = 1_000;

type Kind = "subscribe" | "psubscribe" | "ssubscribe";

export class Subscriptions {
  /** What redis has confirmed once, whoever asked for it. */
  private readonly wanted = new Map<Kind, Set<string>>();
  /** Whether it has confirmed all of it over the present connection. */
  private isConfirmed = true;
  private renewing: Promise<void> | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private isEnded = false;
  /** How often the connection was lost. */
  cuts = 0;

  constructor(private readonly client: Redis) {
    this.follow();
    client.on("close", () => {
      this.cuts++;
      this.isConfirmed = false;
    });
    client.on("ready", () => this.keepTrying());
  }

  /** Renew nothing any more. */
  end(): void {
    this.isEnded = true;
    clearTimeout(this.timer);
  }

  /**
   * Resolves when all is subscribed: at once, unless the connection was lost.
   * @throws the error of redis, AH_REDIS_TIMEOUT when it does not return in time
   */
  async confirmed(): Promise<void> {
    // a renewal may have begun before the connection was lost again
    while (!this.isConfirmed && !this.isEnded) await this.renew();
  }

  private renew(): Promise<void> {
    this.renewing ??= this.askAgain().finally(() => {
      this.renewing = undefined;
    });
    return this.renewing;
  }

  private async askAgain(): Promise<void> {
    const { cuts } = this;
    for (const [kind, names] of this.wanted)
      if (names.size > 0) await this.client[kind](...names);
    if (cuts === this.cuts) this.isConfirmed = true;
  }

  /** Until it succeeds, or the connection is lost: the next one begins anew. */
  private keepTrying(): void {
    clearTimeout(this.timer);
    if (this.isEnded || this.isConfirmed) return;
    this.confirmed().catch(() => {
      if (this.isEnded || this.client.status !== "ready") return;
      this.timer = setTimeout(() => this.keepTrying(), RETRY_MS).unref();
    });
  }

  /** Note what is asked for over this connection; the engine inside the process is never cut, and has no commands. */
  private follow(): void {
    const { client } = this;
    if (typeof client.sendCommand !== "function") return;
    const send = client.sendCommand.bind(client);
    client.sendCommand = (command: Command, stream) => {
      this.note(command);
      return send(command, stream);
    };
  }

  private note({ name: command, args, promise }: Command): void {
    const parts = /^([ps]?)(un)?subscribe$/.exec(command);
    if (!parts) return;
    const [, letter, isLeaving] = parts;
    const kind = `${letter}subscribe` as Kind;
    let names = this.wanted.get(kind);
    if (!names) this.wanted.set(kind, (names = new Set()));
    const update = (change: "add" | "delete") => {
      if (args.length === 0) names.clear();
      for (const name of args) names[change](String(name));
    };
    if (isLeaving) update("delete");
    // redis replies in order: one that left before its subscription was confirmed is out
    const confirm = () => update(isLeaving ? "delete" : "add");
    promise.then(confirm, () => undefined); // who asked gets the error
  }
}
