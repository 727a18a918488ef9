/** `config.securityHeaders`: what browsers are told about the pages of this server. */
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

/** The same for a request; none while they are switched off. */
export function securityPairsFor(req: IncomingMessage): [string, string][] {
  const settings = currentSecurityHeaders();
  return settings ? securityPairs(settings, schemeOf(req) === "https") : [];
}
