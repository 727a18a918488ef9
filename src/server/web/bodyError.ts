/** Why a request's body was not accepted; the action does not run then. */

import { HttpError } from "../../errors";

/** What v29 told clients about bodies that could not be parsed. */
const MALFORMED = "There was an error processing this form.";

export class BodyError extends HttpError {
  static malformed(cause: unknown): BodyError {
    return new BodyError(400, MALFORMED, { cause });
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
}

/** The client went away while it was sending: nobody waits for an answer. */
export class RequestAborted extends Error {}
