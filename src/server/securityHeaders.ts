/** `config.securityHeaders`: security headers of responses. */
import type { IncomingMessage } from "node:http";
import { settings, type Settings } from "../config/settings";
import { schemeOf } from "./proxies";

export type SecurityHeaders = Settings["securityHeaders"];

/** The settings while they are switched on. */
export function currentSecurityHeaders(): SecurityHeaders | undefined {
  const { securityHeaders } = settings();
  return securityHeaders.enabled ? securityHeaders : undefined;
}

/** Names and values for a client. */
export function securityPairs(
  { headers, tlsHeaders }: SecurityHeaders,
  isTls: boolean,
): [string, string][] {
  const all = isTls ? { ...headers, ...tlsHeaders } : (headers ?? {});
  return Object.entries(all).filter(
    (pair): pair is [string, string] => typeof pair[1] === "string",
  );
}

/** The same for a request; empty while disabled. */
export function securityPairsFor(req: IncomingMessage): [string, string][] {
  const settings = currentSecurityHeaders();
  return settings ? securityPairs(settings, schemeOf(req) === "https") : [];
}
