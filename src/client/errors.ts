/** What calls of the client fail with. An abort of the caller's own rejects with the reason of the signal instead. */

/** What is wrong with one param, as the server lists it. */
export interface ParamProblem {
  /** Keys with dots: `address.city`. */
  path: string;
  message: string;
  code: string;
}

/** The server answered with an error. */
export class ActionError<Response = unknown> extends Error {
  override readonly name = "ActionError";
  /** The HTTP status; undefined where the transport has none. */
  readonly status: number | undefined;
  /** The response's `code`, or that of its first problem; undefined when it has neither. */
  readonly code: string | number | undefined;
  /** All problems of the params; empty when the server lists none. */
  readonly errors: ParamProblem[];
  /** All that the server answered. */
  readonly response: Response;

  constructor(response: Response, status?: number) {
    super(textOf(response, status));
    const { code, errors } = Object(response) as {
      code?: string | number;
      errors?: unknown;
    };
    this.status = status;
    this.errors = Array.isArray(errors) ? (errors as ParamProblem[]) : [];
    this.code = code ?? this.errors[0]?.code;
    this.response = response;
  }
}

export type ClientErrorCode =
  /** No answer within `timeout`. */
  | "TIMEOUT"
  /** There is no connection, and nothing was sent: known where the environment tells it, which pages do not over HTTP. */
  | "UNREACHABLE"
  /** The connection ended before the answer: nobody knows whether the server did it. */
  | "CONNECTION_LOST"
  /** `close()` was called. */
  | "CLOSED"
  /** The answer is no JSON, such as the page of a proxy. */
  | "INVALID_RESPONSE"
  /** The transport cannot do this, such as rooms over HTTP. */
  | "UNSUPPORTED";

/** The server did not answer, or what answered is no actionhero server. */
export class ClientError extends Error {
  override readonly name = "ClientError";

  constructor(
    readonly code: ClientErrorCode,
    message: string,
    /** `status` of an answer that is no JSON. */
    { cause, status }: { cause?: unknown; status?: number | undefined } = {},
  ) {
    super(message, { cause });
    this.status = status;
  }

  readonly status: number | undefined;
}

/** The caller's own `headers()` failed, for the reason in `cause`; no matter how often we try to connect. */
export class HeadersFailure extends Error {}

function textOf(response: unknown, status: number | undefined): string {
  const { error } = Object(response) as { error?: unknown };
  if (typeof error === "string") return error;
  const { message } = Object(error) as { message?: unknown };
  if (typeof message === "string") return message;
  if (error === undefined) return `the server answered with ${status}`;
  return JSON.stringify(error);
}
