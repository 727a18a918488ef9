/** What the params take that a client keeps for its next lines. */
import { OVERLOADED_TEXT, type ByteShare } from "../heldBytes";

type Params = Record<string, unknown>;

/** About what an object or list takes for each of its members, beside the value. */
const MEMBER_BYTES = 16;

/** About what a copy takes for each param: its value is not copied. */
const COPIED_BYTES = 64;

/** Few params are not worth counting their copies. */
const SMALL_BYTES = 4096;

export class KeptParams {
  private held = 0;
  /** How many there are, once it was asked. */
  private count: number | undefined;

  constructor(private readonly share: ByteShare) {}

  /** About how many there are. */
  get bytes(): number {
    return this.held;
  }

  /** About what a copy of them takes. */
  copyBytes(params: Params): number {
    if (this.held <= SMALL_BYTES) return 0;
    this.count ??= Object.keys(params).length;
    return COPIED_BYTES * this.count;
  }

  /** Others are kept now, which take so many bytes. */
  replace(bytes: number): void {
    this.share.give(this.held);
    this.share.add(bytes);
    this.held = bytes;
    this.count = undefined;
  }

  /**
   * Ask before a param is set.
   * @param limit for all params, in bytes; 0 for none
   * @returns why it must not be
   */
  refusal(bytes: number, limit: number): string | undefined {
    if (bytes <= 0) return undefined;
    if (limit > 0 && this.held + bytes > limit)
      return `too many bytes of params (limit ${limit})`;
    return this.share.hasRoom(bytes) ? undefined : OVERLOADED_TEXT;
  }

  /** A param was set or deleted, and now they take so many bytes more. */
  grow(bytes: number): void {
    const change = Math.max(-this.held, bytes);
    this.held += change;
    this.count = undefined;
    if (change > 0) this.share.add(change);
    else this.share.give(-change);
  }
}

/** About what a param takes. */
export function paramBytes(params: Params, key: string): number {
  return Object.hasOwn(params, key)
    ? key.length + MEMBER_BYTES + bytesOf(params[key])
    : 0;
}

/** About what a value takes that came as JSON or text. */
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

/** A text of its own: for a piece of a line, the engine keeps the whole line. */
export function detached(text: string): string {
  return Buffer.from(text).toString();
}
