/** Frames of websocket clients, as bytes. */

/** A masked frame; the mask is zero, so that the payload can be read in it. */
export function clientFrame(
  payload: string | Buffer,
  { opcode = 1, final = true } = {},
): Buffer {
  const data = Buffer.from(payload as string);
  const head: number[] = [(final ? 0x80 : 0) | opcode];
  if (data.length < 126) head.push(0x80 | data.length);
  else if (data.length < 65_536)
    head.push(0x80 | 126, data.length >> 8, data.length & 255);
  else {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(data.length));
    head.push(0x80 | 127, ...length);
  }
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), data]);
}
