/**
 * Random ids. Bytes are requested and written as text in blocks: one id at a time takes as much as finding its route.
 * Each id is a part of the text of its block, which therefore stays in memory (2.5 KB) as long as one of them.
 */
import { randomBytes } from "node:crypto";

const UUID_BYTES = 16;
const UUID_LENGTH = 36;
/** A fingerprint has 20 bytes, as those of version 29. */
const HEX_BYTES = 20;
const HEX_LENGTH = 2 * HEX_BYTES;
const IDS_PER_BLOCK = 64;

let uuids = "";
let nextUuid = 0;
let fingerprints = "";
let nextFingerprint = 0;

/** A UUID of version 4 (RFC 9562 section 5.4). */
export function randomId(): string {
  if (nextUuid >= uuids.length) {
    uuids = uuidsOf(randomBytes(UUID_BYTES * IDS_PER_BLOCK));
    nextUuid = 0;
  }
  return uuids.slice(nextUuid, (nextUuid += UUID_LENGTH));
}

/** 40 hexadecimal digits. */
export function randomHex(): string {
  if (nextFingerprint >= fingerprints.length) {
    fingerprints = randomBytes(HEX_BYTES * IDS_PER_BLOCK).toString("hex");
    nextFingerprint = 0;
  }
  return fingerprints.slice(nextFingerprint, (nextFingerprint += HEX_LENGTH));
}

const DIGITS = Buffer.from("0123456789abcdef");
const HYPHEN = 0x2d;
/** The bytes of a UUID before which a hyphen stands. */
const AFTER_HYPHEN: readonly number[] = [4, 6, 8, 10];

function uuidsOf(bytes: Buffer): string {
  const text = Buffer.allocUnsafe(UUID_LENGTH * IDS_PER_BLOCK);
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
    const place = i % UUID_BYTES;
    if (AFTER_HYPHEN.includes(place)) text[at++] = HYPHEN;
    const byte = withVersion(bytes[i]!, place);
    text[at++] = DIGITS[byte >> 4]!;
    text[at++] = DIGITS[byte & 15]!;
  }
  return text.toString("latin1", 0, at);
}

/** The bits of version 4 and of the variant are not random. */
function withVersion(byte: number, place: number): number {
  if (place === 6) return (byte & 0x0f) | 0x40;
  return place === 8 ? (byte & 0x3f) | 0x80 : byte;
}
