/**
 * Limits the requests of each connection in progress, so that one client neither fills the memory nor delays the
 * others.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { ActionsStatus, errorForStatus } from "../../action/status";
import { settings } from "../../config/settings";
import { HttpError, toError } from "../../errors";
import type { WebRequest } from "./webRequest";

/** Maximum requests of a connection in progress. */
const MAX_IN_FLIGHT = 64;
/** Maximum responses of a connection that are pending, or wait for a slow consumer. */
const MAX_UNSENT = 128;
/** Maximum requests of a connection started per turn of the event loop. */
const MAX_PER_TURN = 16;
/** Maximum waiting requests of all connections started per turn, so that others are served between the turns. */
const MAX_QUEUED_PER_TURN = 64;
/**
 * Maximum waiting requests of all connections; node creates all requests that it finds in one chunk, more than a
 * thousand, of about 4 KB each.
 */
const MAX_WAITING = 10_000;

type Arrival = [req: IncomingMessage, res: ServerResponse];

/** Requests of a connection that have been read and wait to be started; meanwhile reading is paused. */
interface Queue {
  /** Undefined: it has been started. */
  readonly arrivals: (Arrival | undefined)[];
  next: number;
  /** Responses that the client has not read: it may send requests without reading. */
  unsent: number;
  /** The listener of the connection's end. */
  readonly onClose: () => void;
}

interface IntakeHost {
  /** Start processing a request. */
  begin(req: IncomingMessage, res: ServerResponse): void;
  /** The number of requests of a connection in progress. */
  inFlight(socket: Socket): number;
  /** Whether too much waits for the client to be read. */
  isBehind(socket: Socket): boolean;
  /** Whether nothing more may be read from a connection. */
  ignoresInput(socket: Socket): boolean;
  /** Called for a connection that is closed because too many requests wait, most of them its own. */
  onCut(socket: Socket): void;
}

export class Intake {
  private readonly queues = new Map<Socket, Queue>();
  private lastSocket?: Socket;
  /** Requests of the last socket in a row. */
  private inRow = 0;
  /** Requests in all queues that have not been begun. */
  private waiting = 0;
  /** Queues whose next request may be begun, in the order of their turns. */
  private readonly ready = new Map<Socket, Queue>();
  private isScheduled = false;

  constructor(private readonly host: IntakeHost) {}

  take(req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req;
    if (socket.destroyed) return; // the rest of the chunk for which it was disconnected
    const queue = this.queues.get(socket);
    if (queue) queue.arrivals.push([req, res]);
    else if (this.hasRoom(socket)) return this.host.begin(req, res);
    else this.open(socket, [req, res]);
    if (++this.waiting > MAX_WAITING) this.cutLongest();
  }

  /** Whether requests of a connection wait to be started. */
  isWaiting(socket: Socket): boolean {
    return this.queues.has(socket);
  }

  /** A request of this connection is done. */
  settled(socket: Socket): void {
    if (this.queues.size === 0) return;
    const queue = this.queues.get(socket);
    if (queue) this.schedule(socket, queue);
  }

  private hasRoom(socket: Socket): boolean {
    if (this.lastSocket !== socket) {
      this.lastSocket = socket;
      this.inRow = 0;
    }
    // a client that waits for each response sends one request per turn of the event loop; since a response may be
    // synchronous, the number in flight does not show that, so a counter that is half full is reset after the turn
    if (++this.inRow === MAX_PER_TURN / 2) setImmediate(() => (this.inRow = 0));
    return (
      this.inRow <= MAX_PER_TURN &&
      this.host.inFlight(socket) < MAX_IN_FLIGHT &&
      !this.host.isBehind(socket)
    );
  }

  private open(socket: Socket, arrival: Arrival): void {
    const queue: Queue = {
      arrivals: [arrival],
      next: 0,
      unsent: 0,
      onClose: () => this.close(socket, queue),
    };
    this.inRow = 0;
    this.queues.set(socket, queue);
    socket.once("close", queue.onClose);
    stopReading(socket);
    this.schedule(socket, queue);
  }

  private schedule(socket: Socket, queue: Queue): void {
    this.ready.set(socket, queue);
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.takeTurns());
  }

  /** Serve the queues in order, until they are empty or `MAX_QUEUED_PER_TURN` requests were started. */
  private takeTurns(): void {
    this.isScheduled = false;
    const before = this.waiting;
    for (const [socket, queue] of [...this.ready]) {
      if (before - this.waiting >= MAX_QUEUED_PER_TURN) break;
      this.ready.delete(socket); // its next turn comes after those of the others
      if (!socket.destroyed && this.queues.get(socket) === queue)
        this.proceed(socket, queue);
    }
    const [next] = this.ready;
    if (next) this.schedule(...next);
  }

  private proceed(socket: Socket, queue: Queue): void {
    const { host } = this;
    const { arrivals } = queue;
    const end = Math.min(arrivals.length, queue.next + MAX_PER_TURN);
    const mayBegin = () =>
      host.inFlight(socket) < MAX_IN_FLIGHT &&
      queue.unsent < MAX_UNSENT &&
      !host.isBehind(socket);
    while (queue.next < end && mayBegin()) this.beginNext(socket, queue);
    if (!mayBegin()) return; // continues when the next request is done
    if (queue.next < arrivals.length) return this.schedule(socket, queue);
    this.close(socket, queue);
    if (!host.ignoresInput(socket)) goOnReading(socket);
  }

  private beginNext(socket: Socket, queue: Queue): void {
    const [req, res] = queue.arrivals[queue.next]!;
    queue.arrivals[queue.next++] = undefined;
    this.waiting--;
    queue.unsent++;
    res.once("close", () => {
      queue.unsent--;
      if (this.queues.get(socket) === queue) this.schedule(socket, queue);
    });
    this.host.begin(req, res);
  }

  private close(socket: Socket, queue: Queue): void {
    if (this.queues.get(socket) !== queue) return;
    socket.off("close", queue.onClose);
    this.queues.delete(socket);
    this.ready.delete(socket);
    this.waiting -= queue.arrivals.length - queue.next;
  }

  private cutLongest(): void {
    let longest: [Socket, Queue] | undefined;
    let most = 0;
    for (const entry of this.queues) {
      const length = entry[1].arrivals.length - entry[1].next;
      if (length > most) [longest, most] = [entry, length];
    }
    if (!longest) return;
    this.close(...longest);
    this.host.onCut(longest[0]);
    longest[0].destroy();
  }
}

// --- Limits pipelined requests: `web.limitPipelining`.

/**
 * After this many pending refusals, input of a client is ignored; its connection is closed after this many ms,
 * because it would reconnect at once.
 */
const MAX_REFUSALS = 64;
const IGNORE_MS = 5_000;

/** There is no connection, and no action. */
const FACTS = {
  connection: { type: "web" },
  params: {},
  missingParams: [],
  validatorErrors: [],
};

/** The handling of a request. */
type Verdict = "serve" | "refuse" | "ignore";

function endSoon(socket: Socket): void {
  stopReading(socket);
  const timer = setTimeout(() => socket.destroy(), IGNORE_MS).unref();
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

// --- Pauses and resumes reading from the connection of a client.

/** Node resumes a socket whenever one of its requests is read or answered. */
function stay(this: Socket): Socket {
  return this;
}

/** A resume that was pending when the socket was paused. */
function pauseAgain(this: Socket): void {
  this.emit("pause");
}

function stopReading(socket: Socket): void {
  if (socket.resume === stay) return;
  socket.pause();
  socket.resume = stay;
  socket.on("resume", pauseAgain);
}

function goOnReading(socket: Socket): void {
  if (socket.resume !== stay) return;
  Reflect.deleteProperty(socket, "resume"); // restores the method of the class
  socket.off("resume", pauseAgain);
  socket.resume();
}
