/** Tracks the memory of the stored params of a client. */
import { MEMORY_LIMIT_TEXT, type ByteShare } from "../heldBytes";

type Params = Record<string, unknown>;

/** Approximate bytes per member of an object or list, besides the value. */
const MEMBER_BYTES = 16;

/** Approximate bytes of a copy per param: values are not copied. */
const COPIED_BYTES = 64;

/** Copies of fewer params are not counted. */
const SMALL_BYTES = 4096;

export class KeptParams {
  private held = 0;
  /** The number of params, once computed. */
  private count: number | undefined;

  constructor(private readonly share: ByteShare) {}

  /** The approximate number of params. */
  get bytes(): number {
    return this.held;
  }

  /** The approximate bytes of a copy. */
  copyBytes(params: Params): number {
    if (this.held <= SMALL_BYTES) return 0;
    this.count ??= Object.keys(params).length;
    return COPIED_BYTES * this.count;
  }

  /** Record that the params were replaced, with the new number of bytes. */
  replace(bytes: number): void {
    this.share.give(this.held);
    this.share.add(bytes);
    this.held = bytes;
    this.count = undefined;
  }

  /**
   * Check a param before it is set.
   * @param limit for all params, in bytes; 0 for none
   * @returns the reason for a refusal, or undefined
   */
  refusal(bytes: number, limit: number): string | undefined {
    if (bytes <= 0) return undefined;
    if (limit > 0 && this.held + bytes > limit)
      return `too many bytes of params (limit ${limit})`;
    return this.share.hasRoom(bytes) ? undefined : MEMORY_LIMIT_TEXT;
  }

  /** Record that a param was set or deleted, with the change in bytes. */
  grow(bytes: number): void {
    const change = Math.max(-this.held, bytes);
    this.held += change;
    this.count = undefined;
    if (change > 0) this.share.add(change);
    else this.share.give(-change);
  }
}

/** Approximate bytes of a param. */
export function paramBytes(params: Params, key: string): number {
  return Object.hasOwn(params, key)
    ? key.length + MEMBER_BYTES + bytesOf(params[key])
    : 0;
}

/** Approximate bytes of a value that was received as JSON or text. */
function bytesOf(value: unknown): number {
  const left = [value];
  let bytes = 0;
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === "string") bytes += next.length;
    else if (typeof next === "object" && next !== null) {
      for (const [key, member] of Object.entries(next)) {
        bytes += key.length + MEMBER_BYTES;
        left.push(member);
      }
    }
  }
  return bytes;
}

/** A flat copy of a string: a substring of a line would keep the whole line in memory. */
export function detached(text: string): string {
  return Buffer.from(text).toString();
}
