/** The reason why a request's body was refused; the action then does not run. */
import { HttpError, type HttpErrorHeaders } from "../../errors";
import { MEMORY_LIMIT_TEXT } from "../heldBytes";

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

  /** Names with brackets that create far more than they say. */
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
