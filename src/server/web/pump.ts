/** Sends a stream as the body of a response, with exactly the announced number of bytes. */
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";

export interface PumpOptions {
  /** Bytes to skip at the beginning. */
  skip: number;
  /** The announced number of bytes; undefined: all. */
  length: number | undefined;
  /** Called before the first byte, when the stream is known to be readable. */
  begin: () => void;
}

/**
 * If a file shrinks while it is sent, the connection is aborted, so that the client does not take it for complete.
 * @throws the error of the stream if nothing was sent yet; later the connection is aborted instead
 */
export function pump(
  stream: Readable,
  res: ServerResponse,
  { skip, length, begin }: PumpOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.errored) return reject(stream.errored);
    let toSkip = skip;
    let left = length ?? Infinity;
    let hasBegun = false;
    const start = () => {
      if (hasBegun) return;
      hasBegun = true;
      begin();
    };
    const finish = () => {
      stream.destroy();
      resolve();
    };
    stream.on("data", (chunk: Buffer | string) => {
      let bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
      if (toSkip > 0) {
        const skipped = Math.min(toSkip, bytes.length);
        toSkip -= skipped;
        bytes = bytes.subarray(skipped);
      }
      if (bytes.length > left) bytes = bytes.subarray(0, left);
      if (bytes.length === 0 || res.destroyed) return;
      start();
      left -= bytes.length;
      if (!res.write(bytes)) stream.pause();
      if (left === 0) res.end(finish);
    });
    res.on("drain", () => stream.resume());
    stream.once("end", () => {
      if (left === 0 && hasBegun) return;
      if (length !== undefined && left > 0) {
        if (!hasBegun) return reject(new Error("the file ended early"));
        res.destroy();
        return;
      }
      start();
      res.end(finish);
    });
    stream.once("error", (error) => {
      if (!hasBegun) return reject(error);
      res.destroy();
    });
    res.once("close", finish); // also when the client disconnects
  });
}
