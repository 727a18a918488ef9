/** Server frames of the websocket protocol (RFC 6455), made without `ws`: one buffer, which many clients can share. */

const FINAL_TEXT = 0x81;

/** A text message as one unmasked, uncompressed frame. The bytes must not be changed afterwards. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const offset = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(offset + length);
  frame[0] = FINAL_TEXT;
  if (offset === 2) frame[1] = length;
  else if (offset === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    frame.writeUInt32BE(length % 2 ** 32, 6);
  }
  // as many bytes as characters: ASCII, for which latin1 is the quicker way
  if (length === text.length) frame.write(text, offset, "latin1");
  else frame.write(text, offset, "utf8");
  return frame;
}
