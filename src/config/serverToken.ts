/** The token that the defaults of version 29 bring: everybody knows it. */
const DEFAULT_TOKEN = "change-me";

/** Whether a `general.serverToken` keeps nobody out. */
export function isKnownServerToken(token: unknown): boolean {
  return !token || token === DEFAULT_TOKEN;
}
