/** Tracks the requests in flight per connection. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { HIGH_WATER_BYTES, UnreadShare } from "../outbox";
import type { WebRequest } from "./webRequest";

/** The requests of one connection. Usually there is one at a time, which needs no set. */
export interface Traffic {
  first: WebRequest | undefined;
  others: Set<WebRequest> | undefined;
  /** The latest request. */
  latest: WebRequest | undefined;
  /** The responses that wait until the client reads them; undefined until it falls behind. */
  unread: UnreadShare | undefined;
}

interface ActivityHost {
  /** Called for each request in flight when its client disconnects. */
  onAbort(request: WebRequest): void;
  /** Called when a request of a connection is done, or its response was read. */
  onSettled(socket: Socket): void;
  /** Called for a client to disconnect: it is the slowest, and all together exceed `general.maxUnreadBytes`. */
  onUnread(socket: Socket, bytes: number): void;
}

/** One listener per socket instead of two per response: a closed socket ends all of its requests. */
export class Activity {
  private readonly bySocket = new Map<Socket, Traffic>();
  private readonly foreign = new Map<Socket, number>();
  /** The connection that was asked for last: each request asks for its own twice in a row. */
  private last: { socket: Socket | undefined; traffic: Traffic | undefined } = {
    socket: undefined,
    traffic: undefined,
  };

  constructor(private readonly host: ActivityHost) {}

  begin(socket: Socket, request: WebRequest): void {
    const traffic = this.find(socket) ?? this.watch(socket);
    request.traffic = traffic;
    if (traffic.latest !== undefined) traffic.latest.isFollowed = true;
    traffic.latest = request;
    if (traffic.first === undefined) traffic.first = request;
    else (traffic.others ??= new Set()).add(request);
  }

  end(request: WebRequest): void {
    const { traffic } = request;
    if (traffic?.first === request) traffic.first = undefined;
    else traffic?.others?.delete(request);
    if (traffic?.latest === request) traffic.latest = undefined;
    this.host.onSettled(request.req.socket);
  }

  /** Count a request that another listener answers. */
  lend(socket: Socket, res: ServerResponse): void {
    this.foreign.set(socket, (this.foreign.get(socket) ?? 0) + 1);
    res.once("close", () => {
      const count = (this.foreign.get(socket) ?? 1) - 1;
      if (count > 0) this.foreign.set(socket, count);
      else this.foreign.delete(socket);
      this.host.onSettled(socket);
    });
  }

  /** Count a response that was written, until its client has read it. */
  countUnread({ traffic, req, res }: WebRequest): void {
    if (traffic === undefined) return;
    const unread = (traffic.unread ??= new UnreadShare((bytes) =>
      this.host.onUnread(req.socket, bytes),
    ));
    const bytes = res.writableLength;
    unread.add(bytes);
    res.once("close", () => {
      unread.add(-bytes);
      this.host.onSettled(req.socket);
    });
  }

  /** Whether so much waits for a client that its next requests must wait, too. */
  isBehind(socket: Socket): boolean {
    const unread = this.find(socket)?.unread;
    return unread !== undefined && unread.size > HIGH_WATER_BYTES;
  }

  isBusy(socket: Socket): boolean {
    return this.countOf(socket) > 0;
  }

  /** The number of requests of a connection in progress. */
  countOf(socket: Socket): number {
    const traffic = this.find(socket);
    const foreign =
      this.foreign.size === 0 ? 0 : (this.foreign.get(socket) ?? 0);
    if (traffic === undefined) return foreign;
    const first = traffic.first === undefined ? 0 : 1;
    return first + (traffic.others?.size ?? 0) + foreign;
  }

  private find(socket: Socket): Traffic | undefined {
    const { last } = this;
    if (last.socket !== socket) {
      last.socket = socket;
      last.traffic = this.bySocket.get(socket);
    }
    return last.traffic;
  }

  private watch(socket: Socket): Traffic {
    const traffic: Traffic = {
      first: undefined,
      others: undefined,
      latest: undefined,
      unread: undefined,
    };
    this.bySocket.set(socket, traffic);
    this.last = { socket, traffic };
    socket.once("close", () => {
      this.bySocket.delete(socket);
      this.last = { socket: undefined, traffic: undefined };
      const { first, others = [] } = traffic;
      traffic.unread?.release();
      const requests = first ? [first, ...others] : others;
      for (const request of requests) {
        this.host.onAbort(request);
        closeQueued(request.res);
      }
    });
    return traffic;
  }
}

/**
 * Node emits `close` for the response whose turn it is, and not for those behind it: files that are to be sent would stay
 * open.
 */
function closeQueued(res: ServerResponse): void {
  if (res.socket !== null || res.destroyed || res.writableFinished) return;
  res.destroy();
  res.emit("close");
}
