/** Unique ids: those that count need not be secret, the others are random. */
import { randomUUID, randomFillSync } from "node:crypto";

/** Two digits each: numbers as text would cost more than a whole UUID. */
const HEX = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);
const COUNTED_DIGITS = 4;
const LAST = 0xffff;

/**
 * UUIDs whose last digits count, each row with new random ones before them. One takes a tenth of the time of `randomUUID`
 * with its garbage, which was a third of an in-line action (bench/action.ts).
 */
export class SerialIds {
  private row = "";
  private count = LAST;

  next(): string {
    if (this.count === LAST) this.beginRow();
    else this.count++;
    const { count } = this;
    return this.row + HEX[count >> 8]! + HEX[count & 0xff]!;
  }

  private beginRow(): void {
    this.row = randomUUID().slice(0, -COUNTED_DIGITS);
    this.count = 0;
  }
}

// --- Random ids. Bytes are requested and written as text in blocks: one id at a time takes as much as finding its
// route. Each id is a part of the text of its block, which therefore stays in memory (2.5 KB) as long as one of
// them.

const UUID_BYTES = 16;
const UUID_LENGTH = 36;
/** A fingerprint has 20 bytes, as those of version 29. */
const HEX_BYTES = 20;
const HEX_LENGTH = 2 * HEX_BYTES;
const IDS_PER_BLOCK = 64;
/** Bytes per call of the generator, which takes longer than a thousand bytes do. */
const POOL_BYTES = 16 * 1024;

let uuids = "";
let nextUuid = 0;
let fingerprints = "";
let nextFingerprint = 0;

/** A UUID of version 4 (RFC 9562 section 5.4). */
export function randomId(): string {
  if (nextUuid >= uuids.length) {
    uuids = uuidsOf(takeBytes(UUID_BYTES * IDS_PER_BLOCK));
    nextUuid = 0;
  }
  return uuids.slice(nextUuid, (nextUuid += UUID_LENGTH));
}

/** 40 hexadecimal digits. */
export function randomHex(): string {
  if (nextFingerprint >= fingerprints.length) {
    fingerprints = takeBytes(HEX_BYTES * IDS_PER_BLOCK).toString("hex");
    nextFingerprint = 0;
  }
  return fingerprints.slice(nextFingerprint, (nextFingerprint += HEX_LENGTH));
}

const pool = Buffer.alloc(POOL_BYTES);
let used = POOL_BYTES;

/** Bytes that are given out once; they are erased when the pool is filled again. */
function takeBytes(count: number): Buffer {
  if (used + count > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.subarray(used, (used += count));
}

const DIGITS = Buffer.from("0123456789abcdef");
/** Where the two digits of each byte stand in a UUID. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
/** The text of a block; the hyphens between the digits stay. */
const block = Buffer.alloc(UUID_LENGTH * IDS_PER_BLOCK, "-");

function uuidsOf(bytes: Buffer): string {
  for (let id = 0; id < IDS_PER_BLOCK; id++) {
    const from = id * UUID_BYTES;
    const to = id * UUID_LENGTH;
    // version 4, and the variant: these bits are not random
    bytes[from + 6] = (bytes[from + 6]! & 0x0f) | 0x40;
    bytes[from + 8] = (bytes[from + 8]! & 0x3f) | 0x80;
    for (let i = 0; i < UUID_BYTES; i++) {
      const byte = bytes[from + i]!;
      const at = to + PLACES[i]!;
      block[at] = DIGITS[byte >> 4]!;
      block[at + 1] = DIGITS[byte & 15]!;
    }
  }
  return block.toString("latin1");
}
