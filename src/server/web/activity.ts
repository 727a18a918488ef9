/** Tracks the requests in flight per connection. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WebRequest } from "./webRequest";

/** The requests of one connection. Usually there is one at a time, which needs no set. */
export interface Traffic {
  first: WebRequest | undefined;
  others: Set<WebRequest> | undefined;
  /** The latest request. */
  latest: WebRequest | undefined;
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

  /**
   * @param onAbort called for each request in flight when its client disconnects
   * @param onSettled called when a request of a connection is done
   */
  constructor(
    private readonly onAbort: (request: WebRequest) => void,
    private readonly onSettled: (socket: Socket) => void,
  ) {}

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
    this.onSettled(request.req.socket);
  }

  /** Count a request that another listener answers. */
  lend(socket: Socket, res: ServerResponse): void {
    this.foreign.set(socket, (this.foreign.get(socket) ?? 0) + 1);
    res.once("close", () => {
      const count = (this.foreign.get(socket) ?? 1) - 1;
      if (count > 0) this.foreign.set(socket, count);
      else this.foreign.delete(socket);
      this.onSettled(socket);
    });
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
    };
    this.bySocket.set(socket, traffic);
    this.last = { socket, traffic };
    socket.once("close", () => {
      this.bySocket.delete(socket);
      this.last = { socket: undefined, traffic: undefined };
      const { first, others = [] } = traffic;
      if (first) this.onAbort(first);
      for (const request of others) this.onAbort(request);
    });
    return traffic;
  }
}
