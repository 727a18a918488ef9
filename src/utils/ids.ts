/** Unique ids that need not be secret. */
import { randomUUID } from "node:crypto";

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
