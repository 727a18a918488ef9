/** The additional methods of connections of the web server. */
import type { Connection } from "../../connection/connection";
import { setCookieHeader, type CookieOptions } from "../../cookie/cookies";
import { newFingerprint, sessionCookie } from "../identity";
import { schemeOf } from "../proxies";
import { refuseStream } from "../../utils/refuseStream";
import { setFlat } from "./headers";
import type { WebRequest } from "./webRequest";
import { replaceHeaders, WebResponse } from "./webResponse";
import { describeNoBody, finalStatus, isBodiless } from "./write";

export const customMethods = {
  /** Set a header; the same as pushing to `rawConnection.responseHeaders`. */
  setHeader({ rawConnection }: Connection, key: string, value: string): void {
    (rawConnection as WebRequest).res.setHeader(key, value);
  },

  setStatusCode({ rawConnection }: Connection, code: number): void {
    (rawConnection as WebRequest).responseHttpCode = code;
  },

  /**
   * Add a cookie to the response.
   * @throws Error when the response has begun: the client would not get it
   */
  setCookie(
    { rawConnection }: Connection,
    name: string,
    value: string,
    options?: CookieOptions,
  ): void {
    const { req, responseHeaders } = unsent(rawConnection as WebRequest);
    const isTls = schemeOf(req) === "https";
    const header = setCookieHeader(name, value, options, isTls);
    responseHeaders.push(["Set-Cookie", header]);
  },

  /**
   * Set a new fingerprint, which is sent to the client as its cookie.
   * @throws Error when the response has begun: the client would not get it
   */
  rotateFingerprint(connection: Connection): string {
    const request = unsent(connection.rawConnection as WebRequest);
    const fingerprint = newFingerprint();
    const cookie = sessionCookie(fingerprint, request.req);
    if (cookie !== undefined)
      request.responseHeaders.push(["Set-Cookie", cookie]);
    return (connection.fingerprint = fingerprint);
  },

  /** Respond with these bytes and only the project's headers; the action sets `toRender` to false. */
  pipe(
    { rawConnection }: Connection,
    buffer: string | Buffer,
    headers: { [name: string]: string } = {},
  ): void {
    refuseStream(buffer, "connection.pipe");
    const request = rawConnection as WebRequest;
    const { res } = request;
    for (const [name, value] of Object.entries(headers))
      res.setHeader(name, value);
    const bytes = Buffer.from(buffer as string);
    if (res.headersSent) {
      res.end(bytes);
      return;
    }
    // status and type of other responses are ignored, as in version 29
    const own = res instanceof WebResponse ? res.ownStatus : res.statusCode;
    const status = (res.statusCode = finalStatus(own ?? 200));
    const hasBody = !isBodiless(status);
    const head = request.flatProjectHeaders();
    if (hasBody) {
      setFlat(head, "transfer-encoding", undefined);
      setFlat(head, "content-length", String(bytes.length));
    } else describeNoBody(status, head);
    replaceHeaders(res, head);
    res.end(hasBody ? bytes : undefined);
  },
};

/** @throws Error when the head of the response was sent */
function unsent(request: WebRequest): WebRequest {
  if (request.res.headersSent)
    throw new Error(
      "the response has begun: its cookies can no longer be changed",
    );
  return request;
}
