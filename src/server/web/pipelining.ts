/** Limits pipelined requests: `web.limitPipelining`. */
import type { Socket } from "node:net";
import { ActionsStatus, errorForStatus } from "../../action/status";
import { settings } from "../../config/settings";
import { HttpError, toError } from "../../errors";
import { stopReading } from "./reading";
import type { WebRequest } from "./webRequest";

/**
 * After this many pending refusals, input of a client is ignored; its connection is closed after this many ms,
 * because it would reconnect at once.
 */
const MAX_REFUSALS = 64;
const DEAF_MS = 5_000;

/** There is no connection, and no action. */
const FACTS = {
  connection: { type: "web" },
  params: {},
  missingParams: [],
  validatorErrors: [],
};

/** The handling of a request. */
export type Verdict = "serve" | "refuse" | "ignore";

function endSoon(socket: Socket): void {
  stopReading(socket);
  const timer = setTimeout(() => socket.destroy(), DEAF_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}

export class Pipelining {
  /** Refused requests of a connection whose responses wait for earlier ones. */
  private readonly refusals = new WeakMap<Socket, number>();

  /** @param inFlight the number of requests of a connection in progress */
  constructor(private readonly inFlight: (socket: Socket) => number) {}

  /** Whether input of a connection is ignored. */
  ignoresInput(socket: Socket): boolean {
    return (this.refusals.get(socket) ?? 0) >= MAX_REFUSALS;
  }

  judge(socket: Socket): Verdict {
    if (this.ignoresInput(socket)) return "ignore";
    const limit = settings().general.simultaneousActions;
    return this.inFlight(socket) >= limit ? "refuse" : "serve";
  }

  /**
   * Count a refusal; after the last one nothing more is read from the connection.
   * @returns the error for the client, from `config.errors`
   */
  async refuse({ req, res }: WebRequest): Promise<HttpError> {
    const { socket } = req;
    const count = (this.refusals.get(socket) ?? 0) + 1;
    this.refusals.set(socket, count);
    if (count >= MAX_REFUSALS) {
      endSoon(socket);
    } else res.once("close", () => this.settle(socket));
    const worded = await errorForStatus(
      ActionsStatus.TooManyRequests,
      FACTS,
      undefined,
    );
    return new HttpError(429, toError(worded).message);
  }

  private settle(socket: Socket): void {
    const count = this.refusals.get(socket)!;
    if (count < MAX_REFUSALS) this.refusals.set(socket, count - 1);
  }
}
