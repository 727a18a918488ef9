/** Takes the requests of each connection in portions: one client neither fills the memory nor keeps the others waiting. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { goOnReading, stopReading } from "./reading";

/** So many requests of a connection are worked on at a time. */
const MAX_IN_FLIGHT = 64;
/** So many requests of a connection are begun in one turn of the event loop. */
const MAX_PER_TURN = 16;

type Arrival = [req: IncomingMessage, res: ServerResponse];

/** Requests of a connection that have been read and wait to be begun; nothing more is read meanwhile. */
interface Queue {
  readonly arrivals: Arrival[];
  next: number;
  isScheduled: boolean;
}

export interface IntakeHost {
  /** Begin to work on a request. */
  begin(req: IncomingMessage, res: ServerResponse): void;
  /** How many requests of a connection are worked on. */
  inFlight(socket: Socket): number;
  /** Whether nothing more may be read from a connection. */
  isDeaf(socket: Socket): boolean;
}

export class Intake {
  private readonly queues = new Map<Socket, Queue>();
  private lastSocket?: Socket;
  /** Requests of the last socket in a row. */
  private inRow = 0;

  constructor(private readonly host: IntakeHost) {}

  take(req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req;
    const queue = this.queues.get(socket);
    if (queue) queue.arrivals.push([req, res]);
    else if (this.hasRoom(socket)) this.host.begin(req, res);
    else this.open(socket, [req, res]);
  }

  /** Whether requests of a connection wait to be begun. */
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
    return (
      ++this.inRow <= MAX_PER_TURN && this.host.inFlight(socket) < MAX_IN_FLIGHT
    );
  }

  private open(socket: Socket, arrival: Arrival): void {
    const queue = { arrivals: [arrival], next: 0, isScheduled: false };
    this.inRow = 0;
    this.queues.set(socket, queue);
    socket.once("close", () => this.queues.delete(socket));
    stopReading(socket);
    this.schedule(socket, queue);
  }

  private schedule(socket: Socket, queue: Queue): void {
    if (queue.isScheduled) return;
    queue.isScheduled = true;
    setImmediate(() => {
      queue.isScheduled = false;
      if (!socket.destroyed) this.proceed(socket, queue);
    });
  }

  private proceed(socket: Socket, queue: Queue): void {
    const { host } = this;
    const { arrivals } = queue;
    const end = Math.min(arrivals.length, queue.next + MAX_PER_TURN);
    const mayBegin = () => host.inFlight(socket) < MAX_IN_FLIGHT;
    while (queue.next < end && mayBegin())
      host.begin(...arrivals[queue.next++]!);
    if (!mayBegin()) return; // the next one that is done goes on
    if (queue.next < arrivals.length) return this.schedule(socket, queue);
    this.queues.delete(socket);
    if (!host.isDeaf(socket)) goOnReading(socket);
  }
}
