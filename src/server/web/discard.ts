/** Request bodies that the server does not read (RFC 9112 section 9.6). */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { destroyAfter } from "../drain";

/** Up to this many bytes are discarded, so that the connection can be reused; a longer body closes it. */
const MAX_DISCARDED_BYTES = 64 * 1024;

/** How long a body of unknown length may take to show that it is short, in ms. */
const MAX_WAIT_MS = 1000;

/** A request, and whether its client was told to send the body (`100 Continue`). */
export interface Exchange {
  req: IncomingMessage;
  res: ServerResponse;
  saidContinue: boolean;
}

/** Whether bytes follow the headers. */
function hasContent({ headers }: IncomingMessage): boolean {
  const length = headers["content-length"];
  if (length !== undefined) return length !== "0";
  return headers["transfer-encoding"] !== undefined;
}

/** Whether the client holds its body back until it gets a `100 Continue`. */
export function isWaitingToSend({ req, saidContinue }: Exchange): boolean {
  return !saidContinue && req.headers.expect?.toLowerCase() === "100-continue";
}

/**
 * Leave the body, or its remainder, unread. Must be called before the response is written, which has `Connection:
 * close` if the body is too long to be discarded.
 * @returns a promise only if the length is unknown and must be determined
 */
export function leaveBody(exchange: Exchange): Promise<void> | undefined {
  const { req, res } = exchange;
  if (!hasContent(req) || req.complete || req.destroyed) return undefined;
  const length = req.headers["content-length"];
  if (length === undefined && !isWaitingToSend(exchange))
    return discardChunks(req, res);
  if (isWaitingToSend(exchange) || Number(length) > MAX_DISCARDED_BYTES)
    closeAfterResponse(req, res);
  req.resume();
  return undefined;
}

/** Leave the body unread, and respond as soon as it is known whether the connection is kept. */
export function respondWithoutBody(
  exchange: Exchange,
  respond: () => void,
): void {
  const left = leaveBody(exchange);
  if (left) void left.then(respond);
  else respond();
}

function discardChunks(
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const done = () => {
      clearTimeout(timer);
      req.off("data", count);
      req.off("end", done);
      req.off("close", done);
      if (!req.complete) closeAfterResponse(req, res);
      req.resume();
      resolve();
    };
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_DISCARDED_BYTES) done();
    };
    const timer = setTimeout(done, MAX_WAIT_MS);
    req.on("data", count);
    req.once("end", done);
    req.once("close", done);
    req.resume();
  });
}

/**
 * End the connection with this response, in two steps: node would close the socket at once, and bytes that the client
 * goes on sending would reset the connection and take the response with it.
 */
function closeAfterResponse(req: IncomingMessage, res: ServerResponse): void {
  res.shouldKeepAlive = false;
  const { socket } = req;
  let hasEnded = false;
  socket.destroySoon = function (this: Socket) {
    if (hasEnded) return;
    hasEnded = true;
    const close = () => this.destroy();
    destroyAfter(this);
    if (req.complete) this.once("finish", close);
    else req.once("end", close);
    this.end();
  };
}
