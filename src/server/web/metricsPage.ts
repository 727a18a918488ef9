/** The metrics on the web server's port, for clients that `metrics.authorize` accepts. */
import { api } from "../../api";
import type { Connection } from "../../connection/connection";
import { HttpError } from "../../errors";
import type { MetricsApi } from "../../metrics/types";
import type { Server } from "../server";
import type { WebRequest } from "./webRequest";

/** Whether a request is for the metrics; never without `metrics.authorize`. */
export function isForMetrics({ method, target }: WebRequest): boolean {
  const { metrics } = api as { metrics?: MetricsApi };
  if (metrics?.web === undefined || target.pathname !== metrics.web.path)
    return false;
  return method === "GET" || method === "HEAD";
}

/** @throws HttpError 403; the error that `authorize` throws */
export async function answerMetrics(
  server: Server,
  connection: Connection,
  request: WebRequest,
): Promise<void> {
  const { metrics } = api;
  if ((await metrics.web?.authorize(connection)) !== true)
    throw new HttpError(403, "you may not read the metrics");
  const { contentType, text } = await metrics.page(request.req.headers.accept);
  request.responseHeaders.push(
    ["Content-Type", contentType],
    ["Cache-Control", "no-store"],
  );
  await server.sendMessage(connection, text);
}
