/** Why a request body is refused, and how the rest of it is left unread (RFC 9112 section 9.6). */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { destroyAfter } from "../drain";
import { HttpError, type HttpErrorHeaders } from "../../errors";
import { MEMORY_LIMIT_TEXT } from "../heldBytes";

/** Up to this many bytes are discarded, so that the connection can be reused; a longer body closes it. */
const MAX_DISCARDED_BYTES = 64 * 1024;

/** How long a body of unknown length may take to show that it is short, in ms. */
const MAX_WAIT_MS = 1000;

/** A request, and whether its client was told to send the body (`100 Continue`). */
interface Exchange {
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

// --- The reason of a refusal; the action then does not run.

/** v29's text for bodies that could not be parsed. */
const MALFORMED = "There was an error processing this form.";

/** JSON is not a form; the text helps authors of client programs. */
const MALFORMED_JSON = "the request body is not valid JSON";

/** Retry-After in seconds, for uploads and for any request. */
const NO_ROOM_SECONDS = 10;
const OVERLOADED_SECONDS = 5;

export class BodyError extends HttpError {
  /** Already logged. */
  isLogged = false;

  static malformed(cause: unknown): BodyError {
    return new BodyError(400, MALFORMED, { cause });
  }

  static malformedJson(cause: unknown): BodyError {
    return new BodyError(400, MALFORMED_JSON, { cause });
  }

  /** Too many bytes, or too many files. */
  static tooLarge(setting: string, limit: number, unit = "bytes"): BodyError {
    return new BodyError(
      413,
      `the request body is too large: ${setting} is ${limit} ${unit}`,
    );
  }

  /** Too deep, or too many params. */
  static tooComplex(setting: string, limit: number, unit: string): BodyError {
    return new BodyError(
      400,
      `the request has too many ${unit}: ${setting} is ${limit}`,
    );
  }

  /** Names with brackets that would create objects far larger than the query. */
  static inflatedNames(limit: number): BodyError {
    return new BodyError(
      400,
      `the names of the params would take more than ${limit} bytes: an index such as a[999] needs a place for each lower one`,
    );
  }

  /** Cut into pieces that cost more than their bytes. */
  static fragmented(minBytes: number): BodyError {
    return new BodyError(
      400,
      `the request body has too many small chunks: fewer than ${minBytes} bytes each`,
    );
  }

  /** Compressed to exhaust the server. */
  static bomb(maxRatio: number): BodyError {
    return new BodyError(
      413,
      `the request body is too large: it inflates to more than ${maxRatio} times its size`,
    );
  }

  /** An unsupported media type, charset or encoding. */
  static unsupported(message: string, headers?: HttpErrorHeaders): BodyError {
    return new BodyError(415, message, { headers });
  }

  /** No memory for large requests: `general.maxHeldBytes`. */
  static overloaded(): BodyError {
    const headers = { "Retry-After": OVERLOADED_SECONDS };
    const error = new BodyError(503, MEMORY_LIMIT_TEXT, { headers });
    error.isLogged = true;
    return error;
  }

  /** Other clients' uploads are being inflated. */
  static noDecoder(): BodyError {
    return new BodyError(
      503,
      "the server inflates as many uploads as it can at the moment, try again later",
      { headers: { "Retry-After": OVERLOADED_SECONDS } },
    );
  }

  /** No disk space for files at the moment. */
  static noRoom(cause?: unknown): BodyError {
    return new BodyError(
      503,
      "the server has no room for uploaded files at the moment",
      { cause, headers: { "Retry-After": NO_ROOM_SECONDS } },
    );
  }
}

/** The client disconnected while sending, so no response is possible. */
export class RequestAborted extends Error {}
