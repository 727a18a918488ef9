/** UUIDs in blocks: one per request and message makes `crypto.randomUUID` a noticeable part of its time. */
import { randomUUID } from "node:crypto";

/** The ids of a block differ in their last byte. */
const ENDINGS = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

let block = "";
let next = ENDINGS.length;

/**
 * A new UUID (version 4). It is unique, but can be guessed from another one: never a secret. Use `crypto.randomUUID`
 * for those.
 */
export function newId(): string {
  if (next === ENDINGS.length) {
    block = randomUUID().slice(0, -2);
    next = 0;
  }
  return block + ENDINGS[next++];
}
