import type { Decoded, LineDecoder } from "../../src/server/socket/lineDecoder";

/** The lines that a chunk completes, in order. */
export function linesOf(decoder: LineDecoder, chunk: Buffer): Decoded[] {
  decoder.add(chunk);
  const lines: Decoded[] = [];
  for (;;) {
    const line = decoder.next();
    if (line === undefined) return lines;
    lines.push(line);
  }
}
