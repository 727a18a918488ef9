/** Why a request's body was not accepted; the action does not run then. */
import { HttpError, type HttpErrorHeaders } from "../../errors";
import { OVERLOADED_TEXT } from "../heldBytes";

/** What v29 told clients about bodies that could not be parsed. */
const MALFORMED = "There was an error processing this form.";

/** JSON is no form, and its clients are programs, whose authors are helped by the word. */
const MALFORMED_JSON = "the request body is not valid JSON";

/** After how long a client may try again to upload, and to send anything. */
const NO_ROOM_SECONDS = 10;
const OVERLOADED_SECONDS = 5;

export class BodyError extends HttpError {
  /** The log has its line already. */
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

  /** Compressed to exhaust the server. */
  static bomb(maxRatio: number): BodyError {
    return new BodyError(
      413,
      `the request body is too large: it inflates to more than ${maxRatio} times its size`,
    );
  }

  /** A media type, charset or encoding that is not taken. */
  static unsupported(message: string, headers?: HttpErrorHeaders): BodyError {
    return new BodyError(415, message, { headers });
  }

  /** No room for anything large: `general.maxHeldBytes`. */
  static overloaded(): BodyError {
    const headers = { "Retry-After": OVERLOADED_SECONDS };
    const error = new BodyError(503, OVERLOADED_TEXT, { headers });
    error.isLogged = true;
    return error;
  }

  /** No room for files at the moment. */
  static noRoom(cause?: unknown): BodyError {
    return new BodyError(
      503,
      "the server has no room for uploaded files at the moment",
      { cause, headers: { "Retry-After": NO_ROOM_SECONDS } },
    );
  }
}

/** The client went away while it was sending: nobody waits for an answer. */
export class RequestAborted extends Error {}
