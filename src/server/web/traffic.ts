/**
 * The requests of each HTTP connection: which are in progress, and which wait, so that one client neither fills the memory nor
 * delays the others.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { settings } from "../../config/settings";
import { endAfterResponses } from "../handOver";
import { AddressQueue } from "../../utils/addressQueue";
import { HIGH_WATER_BYTES, UnreadShare } from "../outbox";
import { isOutputSpent } from "../turn";
import { Heads, HeadWatch, type Upgradable } from "./heads";
import { joinUnread } from "./chunks";
import type { WebRequest } from "./webRequest";

/** The requests of one connection. Usually there is one at a time, which needs no set. */
export interface Traffic {
  readonly socket: Socket;
  first: WebRequest | undefined;
  others: Set<WebRequest> | undefined;
  /** The latest request. */
  latest: WebRequest | undefined;
  /** Requests that another listener handles. */
  foreign: number;
  /** Responses that are, or were at first, behind an earlier one, until they are closed; undefined until there is one. */
  behind: Set<ServerResponse> | undefined;
  /** The responses that wait until the client reads them; undefined until it falls behind. */
  unread: UnreadShare | undefined;
  /** The requests that wait; undefined if there are none. */
  queue: Queue | undefined;
  /** The heads of its requests. */
  readonly heads: Heads;
  /** Its requests wait before node creates their responses: see `RequestQueues.guard`. */
  isGuarded: boolean;
  /** The connection ends when the waiting requests have their responses. */
  isEnding: boolean;
}

const TRAFFIC = Symbol("traffic");

/** On the socket itself, because each request looks for it. */
function knownTraffic(socket: Socket): Traffic | undefined {
  return (socket as { [TRAFFIC]?: Traffic })[TRAFFIC];
}

/** The number of requests of a connection in progress. */
function countOf({ first, others, foreign }: Traffic): number {
  return (first === undefined ? 0 : 1) + (others?.size ?? 0) + foreign;
}

/** Whether so much waits for a client that its next requests must wait, too. */
function isBehind(traffic: Traffic): boolean {
  const { unread, heads } = traffic;
  if (unread !== undefined && unread.size > HIGH_WATER_BYTES) return true;
  return heads.size > HIGH_WATER_BYTES && hasPending(traffic);
}

/** Whether responses of a connection are not complete, or not read. */
function hasPending(traffic: Traffic): boolean {
  return countOf(traffic) > 0 || (traffic.behind?.size ?? 0) > 0;
}

/** Maximum requests of a connection in progress; with `web.limitPipelining` there are at most `simultaneousActions`. */
const MAX_IN_FLIGHT = 64;

/**
 * Whether a connection may start another request. The responses behind the one that is being sent are limited, too: a client
 * may send requests without reading.
 */
function mayBegin(traffic: Traffic): boolean {
  if (isBehind(traffic)) return false;
  const inFlight = countOf(traffic);
  const behind = traffic.behind?.size ?? 0;
  if (inFlight === 0 && behind === 0) return true;
  const { web, general } = settings();
  const limit = web.limitPipelining
    ? Math.min(general.simultaneousActions, MAX_IN_FLIGHT)
    : MAX_IN_FLIGHT;
  return inFlight < limit && behind < 2 * limit;
}

/** Maximum requests of a connection started per turn of the event loop. */
const MAX_PER_TURN = 16;
/** Maximum waiting or pipelined requests of all connections started per turn, so that other work is done between turns. */
const MAX_QUEUED_PER_TURN = 64;
/**
 * Maximum waiting requests of all connections: node reads all requests of one chunk, which may be more than two thousand.
 * Beyond it, the connection whose request arrives is disconnected if it has MANY_WAITING of them, otherwise the one with the
 * most.
 */
const MAX_WAITING = 5_000;
const MANY_WAITING = 128;

/** Starts a waiting request. */
type Arrival = () => void;

/** Node's parser of the requests of a connection; missing in other runtimes. */
interface RequestParser {
  /** Creates the response, and emits `request`. @returns how the parser goes on */
  onIncoming?: (req: Upgradable, keepAlive: boolean) => number;
}

/** The results of `onIncoming`: go on, or stop, as for an upgrade. */
const GO_ON = 0;
const STOP = 2;

/** Requests of a connection that have been read and wait to be started; meanwhile reading is paused. */
interface Queue {
  /** Undefined: it has been started. */
  readonly arrivals: (Arrival | undefined)[];
  next: number;
}

interface RequestQueuesHost {
  /** Start processing a request. */
  begin(req: IncomingMessage, res: ServerResponse, traffic: Traffic): void;
  /** Called for each request in progress when its client disconnects. */
  onAbort(request: WebRequest): void;
  /** Called for a connection that is closed because too many requests wait, most of them its own. */
  onCut(socket: Socket): void;
  /** Called for a connection that is closed because there is no room for the heads of its requests. */
  onHeads(socket: Socket): void;
  /** Called for a client to disconnect: it is the slowest, and all together exceed `general.maxUnreadBytes`. */
  onUnread(socket: Socket, bytes: number): void;
}

export class RequestQueues {
  private readonly queues = new Map<Traffic, Queue>();
  private last: Traffic | undefined;
  /** Requests of the last connection in a row. */
  private inRow = 0;
  /** The number of pipelined requests of all connections in this turn. */
  private pipelined = 0;
  /** Requests in all queues that have not been begun. */
  private waiting = 0;
  /** Connections whose next request may be begun. */
  private readonly ready = new AddressQueue<Traffic>();
  /** Callbacks that are to begin a waiting request each. */
  private planned = 0;
  private readonly headWatch = new HeadWatch();

  constructor(private readonly host: RequestQueuesHost) {}

  /**
   * Let the requests of a new connection wait before their responses are created, which take the most memory. Node's
   * parser emits all requests of a chunk in a row, and continues even if the connection is destroyed in between.
   */
  guard(socket: Socket): void {
    const { parser } = socket as { parser?: RequestParser | null };
    const create = parser?.onIncoming;
    if (typeof create !== "function") return;
    const traffic = knownTraffic(socket) ?? this.watch(socket);
    traffic.isGuarded = true;
    parser!.onIncoming = (req, keepAlive) => {
      if (socket.destroyed) return STOP;
      if (req.method !== "GET") joinUnread(req);
      // that of an upgrade stays: a websocket keeps its headers
      if (!this.takeHead(traffic, req)) return STOP;
      const hasRoom = this.hasRoom(traffic);
      if (req.upgrade && traffic.queue) return endWithQueue(traffic, req);
      if (hasRoom || req.upgrade) return create.call(parser, req, keepAlive);
      this.wait(traffic, () => create.call(parser, req, keepAlive));
      return socket.destroyed ? STOP : GO_ON;
    };
  }

  take(req: IncomingMessage, res: ServerResponse): void {
    const { socket } = req;
    if (socket.destroyed) return; // the rest of the chunk for which it was disconnected
    const traffic = knownTraffic(socket) ?? this.watch(socket);
    if (!traffic.isGuarded && !this.takeHead(traffic, req)) return;
    if (traffic.isGuarded || this.hasRoom(traffic))
      this.start(req, res, traffic);
    else this.wait(traffic, () => this.start(req, res, traffic));
  }

  /** Whether a connection has requests in progress, or waiting. */
  isBusy(socket: Socket): boolean {
    const traffic = knownTraffic(socket);
    return (
      traffic !== undefined &&
      (countOf(traffic) > 0 || traffic.queue !== undefined)
    );
  }

  /** A request is in progress until its `end`. */
  begin(traffic: Traffic, request: WebRequest): void {
    request.traffic = traffic;
    if (traffic.latest !== undefined) traffic.latest.hasSuccessor = true;
    traffic.latest = request;
    if (traffic.first === undefined) traffic.first = request;
    else (traffic.others ??= new Set()).add(request);
  }

  end(request: WebRequest): void {
    const { traffic } = request;
    if (traffic === undefined) return;
    if (traffic.first === request) traffic.first = undefined;
    else traffic.others?.delete(request);
    if (traffic.latest === request) traffic.latest = undefined;
    this.settled(traffic);
  }

  /** Count a request that another listener handles. */
  countForeign(traffic: Traffic, res: ServerResponse): void {
    traffic.foreign++;
    res.once("close", () => {
      traffic.foreign--;
      this.settled(traffic);
    });
  }

  /**
   * Counts what waits for a client that reads a response while it is written.
   * @returns sets how many bytes wait now
   */
  unreadOf({ traffic }: WebRequest): (bytes: number) => void {
    let counted = 0;
    return (bytes) => {
      if (traffic === undefined || bytes === counted) return;
      this.shareOf(traffic).add(bytes - counted);
      counted = bytes;
    };
  }

  private shareOf(traffic: Traffic): UnreadShare {
    const { socket } = traffic;
    return (traffic.unread ??= new UnreadShare(socket, (bytes) =>
      this.host.onUnread(socket, bytes),
    ));
  }

  /** Count a response that was written, until its client has read it. */
  countUnread({ traffic, res }: WebRequest): void {
    if (traffic === undefined) return;
    const unread = this.shareOf(traffic);
    const bytes = res.writableLength;
    unread.add(bytes);
    res.once("close", () => {
      unread.add(-bytes);
      this.settled(traffic);
    });
  }

  private takeHead(traffic: Traffic, req: IncomingMessage): boolean {
    const isAlone = traffic.queue === undefined && !hasPending(traffic);
    return traffic.heads.take(req, isAlone);
  }

  private watch(socket: Socket): Traffic {
    const heads = new Heads(socket, () => {
      this.host.onHeads(socket);
      socket.destroy();
    });
    this.headWatch.add(heads);
    const traffic: Traffic = {
      socket,
      heads,
      first: undefined,
      others: undefined,
      latest: undefined,
      foreign: 0,
      behind: undefined,
      unread: undefined,
      queue: undefined,
      isGuarded: false,
      isEnding: false,
    };
    (socket as { [TRAFFIC]?: Traffic })[TRAFFIC] = traffic;
    // one listener per socket instead of two per response: a closed socket ends all of its requests
    socket.once("close", () => this.abort(traffic));
    return traffic;
  }

  private abort(traffic: Traffic): void {
    if (this.last === traffic) this.last = undefined;
    if (traffic.queue) this.close(traffic, traffic.queue);
    const { first, others = [], behind = [] } = traffic;
    traffic.unread?.release();
    this.headWatch.delete(traffic.heads);
    traffic.heads.release();
    const requests = first ? [first, ...others] : others;
    for (const request of requests) this.host.onAbort(request);
    for (const res of behind) closeQueued(res);
  }

  /** A request of this connection is done, or its response was read. */
  private settled(traffic: Traffic): void {
    if (traffic.queue) this.schedule(traffic);
  }

  private hasRoom(traffic: Traffic): boolean {
    if (traffic.queue) return false;
    if (this.last !== traffic) {
      this.last = traffic;
      this.inRow = 0;
    }
    // a client that waits for each response sends one request per turn of the event loop; since a response may be
    // synchronous, the number in flight does not show that, so a counter that is half full is reset after the turn
    if (++this.inRow === MAX_PER_TURN / 2) setImmediate(() => (this.inRow = 0));
    return (
      !isOutputSpent() &&
      this.inRow <= MAX_PER_TURN &&
      (this.inRow === 1 || this.hasPipelineRoom()) &&
      mayBegin(traffic)
    );
  }

  /** Whether another request that follows one of its connection may be started in this turn. */
  private hasPipelineRoom(): boolean {
    if (++this.pipelined === MAX_QUEUED_PER_TURN / 2)
      setImmediate(() => (this.pipelined = 0));
    return this.pipelined <= MAX_QUEUED_PER_TURN;
  }

  private start(
    req: IncomingMessage,
    res: ServerResponse,
    traffic: Traffic,
  ): void {
    // node has given the socket to an earlier response
    const isQueued = res.socket === null;
    if (!traffic.heads.begin(req, res, isQueued)) return;
    if (isQueued) this.countBehind(res, traffic);
    this.host.begin(req, res, traffic);
  }

  private countBehind(res: ServerResponse, traffic: Traffic): void {
    const behind = (traffic.behind ??= new Set());
    behind.add(res);
    res.once("close", () => {
      behind.delete(res);
      this.settled(traffic);
    });
  }

  private wait(traffic: Traffic, arrival: Arrival): void {
    const queue = traffic.queue ?? this.open(traffic);
    queue.arrivals.push(arrival);
    if (++this.waiting <= MAX_WAITING) return;
    if (lengthOf(queue) >= MANY_WAITING) this.cut(traffic, queue);
    else this.cutLongest();
  }

  private open(traffic: Traffic): Queue {
    const queue: Queue = { arrivals: [], next: 0 };
    this.inRow = 0;
    traffic.queue = queue;
    this.queues.set(traffic, queue);
    stopReading(traffic.socket);
    this.schedule(traffic);
    return queue;
  }

  private schedule(traffic: Traffic): void {
    this.ready.add(traffic, traffic.socket.remoteAddress);
    if (this.planned === 0) this.plan();
  }

  /**
   * One callback for each request: between them, node runs what its action has begun, so that its response exists, and is
   * counted, before the next one begins. Responses of 64 actions at once could fill the heap.
   */
  private plan(): void {
    const wanted = Math.max(this.waiting, this.ready.size);
    this.planned = Math.min(wanted, MAX_QUEUED_PER_TURN);
    for (let i = 0; i < this.planned; i++) setImmediate(() => this.takeTurn());
  }

  /** Serve the next queue; its next turn comes after those of the others. */
  private takeTurn(): void {
    this.planned--;
    try {
      if (isOutputSpent()) return;
      const traffic = this.ready.take();
      if (traffic?.queue && !traffic.socket.destroyed)
        this.proceed(traffic, traffic.queue);
    } finally {
      if (this.planned === 0 && this.ready.size > 0) this.plan();
    }
  }

  private proceed(traffic: Traffic, queue: Queue): void {
    const { arrivals } = queue;
    if (queue.next < arrivals.length && mayBegin(traffic))
      this.beginNext(queue);
    if (!mayBegin(traffic)) return; // continues when the next request is done
    if (queue.next < arrivals.length) return this.schedule(traffic);
    this.close(traffic, queue);
    goOnReading(traffic.socket);
    if (traffic.isEnding) endAfterResponses(traffic.socket);
  }

  private beginNext(queue: Queue): void {
    const start = queue.arrivals[queue.next]!;
    queue.arrivals[queue.next++] = undefined;
    this.waiting--;
    start();
  }

  private close(traffic: Traffic, queue: Queue): void {
    if (traffic.queue !== queue) return;
    traffic.queue = undefined;
    this.queues.delete(traffic);
    this.ready.delete(traffic);
    this.waiting -= lengthOf(queue);
  }

  private cutLongest(): void {
    let longest: [Traffic, Queue] | undefined;
    let most = 0;
    for (const entry of this.queues) {
      const length = lengthOf(entry[1]);
      if (length > most) [longest, most] = [entry, length];
    }
    if (longest) this.cut(...longest);
  }

  private cut(traffic: Traffic, queue: Queue): void {
    const { socket } = traffic;
    this.close(traffic, queue);
    this.host.onCut(socket);
    socket.destroy();
  }
}

/** For an upgrade behind waiting requests: node would hand the socket over before it creates their responses. */
function endWithQueue(traffic: Traffic, req: Upgradable): number {
  req.upgrade = false;
  traffic.isEnding = true;
  return STOP;
}

/** The number of requests that have not been started. */
function lengthOf({ arrivals, next }: Queue): number {
  return arrivals.length - next;
}

/**
 * Node emits `close` for the response whose turn it is, and not for those behind it, even if they are complete: files that
 * are to be sent would stay open, and metrics would count the requests for ever.
 */
function closeQueued(res: ServerResponse): void {
  if (res.socket !== null || res.writableFinished) return;
  res.destroy();
  res.emit("close");
}

// --- Pauses and resumes reading from the connection of a client.

/** Node resumes a socket whenever one of its requests is read or completed. */
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
