/** `web.csrf`: protection against cross-site requests, to which browsers attach cookies. */
import type { IncomingMessage } from "node:http";
import { settings } from "../config/settings";
import { currentCors } from "./cors";
import { isSameOrigin } from "./proxies";

/** RFC 9110 section 9.2.1: what they do must not matter. */
const SAFE_METHODS = ["GET", "HEAD", "OPTIONS", "TRACE"];

/** Values of `Sec-Fetch-Site` for requests of the server's own pages, and for those that the user started. */
const OWN = ["same-origin", "none"];

/** Whether the browser says that a page of another site sends the request. */
export function isOfAnotherSite({ headers }: IncomingMessage): boolean {
  const site = headers["sec-fetch-site"];
  return typeof site === "string" && !OWN.includes(site);
}

/** Whether a request is a forgery: a page of another site made the browser send it with cookies. */
export function isForgedRequest(req: IncomingMessage): boolean {
  const { headers, method = "GET" } = req;
  if (SAFE_METHODS.includes(method) || !isGuarded(req)) return false;
  const site = headers["sec-fetch-site"];
  if (typeof site === "string" && OWN.includes(site)) return false;
  const { origin } = headers;
  if (origin === undefined) return site !== undefined; // only browsers send either header
  if (site === undefined && isSameOrigin(req, origin)) return false;
  return !mayHaveCredentials(origin);
}

/** Whether a request has cookies to protect. */
export function isGuarded({ headers }: IncomingMessage): boolean {
  const { csrf } = settings().web;
  return csrf && headers.cookie !== undefined;
}

/** Whether `web.cors` lets pages of an origin send cookies along. */
export function mayHaveCredentials(origin: string): boolean {
  const cors = currentCors();
  return cors?.credentials === true && cors.allows(origin);
}
