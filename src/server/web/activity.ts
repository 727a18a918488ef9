/** Which requests are in flight on which connection. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WebRequest } from "./webRequest";

/** One listener per socket instead of two per response: a closed socket ends all of its requests. */
export class Activity {
  private readonly bySocket = new Map<Socket, Set<WebRequest>>();
  private readonly foreign = new Map<Socket, number>();

  /**
   * @param onAbort called for each request that was in flight when its client went away
   * @param onSettled called when a request of a connection is not worked on any more
   */
  constructor(
    private readonly onAbort: (request: WebRequest) => void,
    private readonly onSettled: (socket: Socket) => void,
  ) {}

  begin(socket: Socket, request: WebRequest): void {
    const requests = this.bySocket.get(socket);
    if (requests) requests.add(request);
    else this.watch(socket).add(request);
  }

  end(socket: Socket, request: WebRequest): void {
    this.bySocket.get(socket)?.delete(request);
    this.onSettled(socket);
  }

  /** Count a request that somebody else answers. */
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

  /** How many requests of a connection are worked on. */
  countOf(socket: Socket): number {
    const own = this.bySocket.get(socket)?.size ?? 0;
    return own + (this.foreign.get(socket) ?? 0);
  }

  private watch(socket: Socket): Set<WebRequest> {
    const requests = new Set<WebRequest>();
    this.bySocket.set(socket, requests);
    socket.once("close", () => {
      this.bySocket.delete(socket);
      for (const request of requests) this.onAbort(request);
    });
    return requests;
  }
}
