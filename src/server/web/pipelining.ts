/** Requests that a client sends before it has its answers: `web.limitPipelining`. */
import type { Socket } from "node:net";
import { ActionsStatus, errorForStatus } from "../../action/status";
import { settings } from "../../config/settings";
import { HttpError, toError } from "../../errors";
import { stopReading } from "./reading";
import type { WebRequest } from "./webRequest";

/**
 * After so many refusals that wait to be sent, a client is not listened to any more; its connection ends after so many
 * ms, as it would come back at once.
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

/** What becomes of a request. */
export type Verdict = "serve" | "refuse" | "ignore";

function endSoon(socket: Socket): void {
  stopReading(socket);
  const timer = setTimeout(() => socket.destroy(), DEAF_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}

export class Pipelining {
  /** Refused requests of a connection whose answers wait for those before them. */
  private readonly refusals = new WeakMap<Socket, number>();

  /** @param inFlight how many requests of a connection are worked on */
  constructor(private readonly inFlight: (socket: Socket) => number) {}

  /** Whether a connection is not listened to any more. */
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
   * @returns what the client is told, as `config.errors` words it
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
