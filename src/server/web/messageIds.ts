/** The message ids of HTTP requests, which have the form of random UUIDs. */
import { randomUUID } from "node:crypto";

/** Ids that differ in their last three digits alone: a UUID costs more than matching the route (bench/http.ts). */
const IDS_PER_UUID = 16 ** 3;

const DIGITS = Array.from({ length: IDS_PER_UUID }, (_, i) =>
  i.toString(16).padStart(3, "0"),
);

let beginning = "";
let used = IDS_PER_UUID;

/** An id that no other request has, in this process or another. It can be guessed from others, and is not a secret. */
export function newMessageId(): string {
  if (used === IDS_PER_UUID) {
    beginning = randomUUID().slice(0, -3);
    used = 0;
  }
  return beginning + DIGITS[used++]!;
}
