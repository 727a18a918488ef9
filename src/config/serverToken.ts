/** The default token of version 29, which is public. */
const DEFAULT_TOKEN = "change-me";

/** Whether a `general.serverToken` is missing or the public default. */
export function isKnownServerToken(token: unknown): boolean {
  return !token || token === DEFAULT_TOKEN;
}
