import { randomBytes } from "node:crypto";

/** 21 characters that are safe in URLs, as Primus has them. */
export function randomId(): string {
  return randomBytes(16).toString("base64url").slice(0, 21);
}
