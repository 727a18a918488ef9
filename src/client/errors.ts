/** The errors of calls. An abort by the caller rejects with the reason of the signal instead. */

/** An invalid param, as listed by the server. */
export interface ParamProblem {
  /** Keys with dots: `address.city`. */
  path: string;
  message: string;
  code: string;
}

/** The server responded with an error. */
export class ActionError<Response = unknown> extends Error {
  override readonly name = "ActionError";
  /** The HTTP status; undefined on other transports. */
  readonly status: number | undefined;
  /** The response's `code`, or that of the problem that `message` describes; undefined when it has neither. */
  readonly code: string | number | undefined;
  /** All problems of the params; empty when the server lists none. */
  readonly errors: ParamProblem[];
  /** The complete response of the server. */
  readonly response: Response;

  constructor(response: Response, status?: number) {
    super(textOf(response, status));
    const { code, errors } = Object(response) as {
      code?: string | number;
      errors?: unknown;
    };
    this.status = status;
    this.errors = Array.isArray(errors) ? (errors as ParamProblem[]) : [];
    const described =
      this.errors.find((problem) => problem?.message === this.message) ??
      this.errors[0];
    this.code = code ?? described?.code;
    this.response = response;
  }
}

export type ClientErrorCode =
  /** No response within `timeout`. */
  | "TIMEOUT"
  /** There is no connection, and nothing was sent. Browsers do not reveal this over HTTP. */
  | "UNREACHABLE"
  /** The connection ended before the response: it is unknown whether the server ran the action. */
  | "CONNECTION_LOST"
  /** `close()` was called. */
  | "CLOSED"
  /** The response is not JSON, such as the page of a proxy. */
  | "INVALID_RESPONSE"
  /** The transport cannot do this, such as rooms over HTTP. */
  | "UNSUPPORTED";

/** The server did not respond, or is not an actionhero server. */
export class ClientError extends Error {
  override readonly name = "ClientError";

  constructor(
    readonly code: ClientErrorCode,
    message: string,
    /** The HTTP status of a response that is not JSON. */
    { cause, status }: { cause?: unknown; status?: number | undefined } = {},
  ) {
    super(message, { cause });
    this.status = status;
  }

  readonly status: number | undefined;
}

/** An attempt to connect failed on this side, for the reason in `cause`, so waiting calls fail with it: retrying is pointless. */
export class OwnFailure extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function textOf(response: unknown, status: number | undefined): string {
  const { error } = Object(response) as { error?: unknown };
  if (typeof error === "string") return error;
  const { message } = Object(error) as { message?: unknown };
  if (typeof message === "string") return message;
  if (error === undefined) return `the server responded with ${status}`;
  return JSON.stringify(error);
}
