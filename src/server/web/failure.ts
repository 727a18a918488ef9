/** Answers requests that could not be worked on. */
import type { ServerResponse } from "node:http";
import type { Connection } from "../../connection/connection";
import { toError } from "../../errors";
import type { Server } from "../server";
import { discardBody } from "./body";
import { BodyError, RequestAborted } from "./bodyError";
import { JSON_TYPE } from "./headers";
import type { Outcome } from "./respond";
import type { WebRequest } from "./webRequest";
import { canWrite } from "./write";

/** Log the error, and make the outcome that tells the client of it. */
export async function prepareFailure(
  server: Server,
  connection: Connection,
  request: WebRequest,
  error: unknown,
): Promise<Outcome> {
  connection.error = error;
  if (error instanceof BodyError) {
    server.log(`error processing form: ${describe(error)}`, "error");
    await discardBody(request);
    if (!request.req.complete)
      request.responseHeaders.push(["Connection", "close"]);
  } else {
    server.log(`cannot answer a request: ${describe(error)}`, "error");
    request.responseHeaders = [["Content-Type", JSON_TYPE]]; // one of the others may be what is wrong
  }
  return {
    response: { error: toError(error) },
    params: connection.params,
    actionStatus: null,
    actionTemplate: null,
  };
}

/** The last resort: an answer that needs nothing but the response, or none to a client that is gone. */
export function answerPlainly(
  server: Server,
  res: ServerResponse,
  error: unknown,
): void {
  if (error instanceof RequestAborted || !canWrite(res)) {
    res.destroy();
    return;
  }
  server.log(`cannot answer a request: ${describe(error)}`, "error");
  res.writeHead(500, { "content-type": JSON_TYPE });
  res.end('{"error":"the request could not be answered"}');
}

/** An error with what caused it, for logs. */
export function describe(error: unknown): string {
  const { cause } = toError(error);
  const because = cause === undefined ? "" : ` (${toError(cause).message})`;
  return `${toError(error).toString()}${because}`;
}
