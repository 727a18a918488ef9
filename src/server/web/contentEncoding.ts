/** Request bodies that are compressed: gzip, deflate and br, inflated under the limit of the body. */
import type { IncomingMessage } from "node:http";
import { Transform, type Readable } from "node:stream";
import * as zlib from "node:zlib";
import { BodyError, RequestAborted } from "./bodyError";

export type RequestEncoding = "gzip" | "deflate" | "br";

const NAMES: Record<string, RequestEncoding> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
};

/** A body larger than the first limit may be at most this many times as large as the received one. */
const FREE_BYTES = 1024 * 1024;
const MAX_RATIO = 100;

/**
 * @returns undefined for a body without an encoding
 * @throws BodyError 415 for an encoding that is unknown, and for several of them
 */
export function requestEncoding({
  headers,
}: IncomingMessage): RequestEncoding | undefined {
  const header = headers["content-encoding"];
  if (header === undefined) return undefined;
  const name = header.trim().toLowerCase();
  if (name === "" || name === "identity") return undefined;
  if (Object.hasOwn(NAMES, name)) return NAMES[name];
  throw BodyError.unsupported(
    `the Content-Encoding ${JSON.stringify(name.slice(0, 40))} of the request body is not supported: gzip, deflate and br are`,
    { "Accept-Encoding": "gzip, deflate, br" },
  );
}

/**
 * Inflate a body that is in memory.
 * @param tooLarge the error when it becomes larger than `limit`, in bytes
 * @param hold called for each chunk before it is stored; an error ends the inflation
 * @throws BodyError
 */
export function inflate(
  bytes: Buffer,
  encoding: RequestEncoding,
  {
    limit,
    tooLarge,
    hold,
  }: {
    limit: number;
    tooLarge: () => BodyError;
    hold: (bytes: number) => Error | undefined;
  },
): Promise<Buffer> {
  const most = Math.max(FREE_BYTES, bytes.length * MAX_RATIO);
  const inflater = streamFor(encoding);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const admit = (chunk: Buffer) => {
      length += chunk.length;
      if (length > Math.min(limit, most))
        return most < limit ? BodyError.bomb(MAX_RATIO) : tooLarge();
      return hold(chunk.length);
    };
    inflater.on("data", (chunk: Buffer) => {
      const refusal = admit(chunk);
      if (!refusal) return chunks.push(chunk);
      inflater.destroy();
      reject(refusal);
    });
    inflater.once("end", () => resolve(Buffer.concat(chunks, length)));
    inflater.once("error", (error) => reject(BodyError.malformed(error)));
    inflater.end(bytes);
  });
}

/**
 * The inflated stream of a body. Only the ratio is limited here: the reader counts the bytes.
 * An error of the stream is a BodyError. Destroying it leaves the request readable.
 */
export function inflating(
  req: IncomingMessage,
  encoding: RequestEncoding,
): Readable {
  const inflater = streamFor(encoding);
  let received = 0;
  let inflated = 0;
  const count = (chunk: Buffer) => {
    received += chunk.length;
  };
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      inflated += chunk.length;
      const isBomb = inflated > Math.max(FREE_BYTES, received * MAX_RATIO);
      next(isBomb ? BodyError.bomb(MAX_RATIO) : null, chunk);
    },
    destroy(error, done) {
      req.off("data", count);
      req.unpipe(inflater);
      inflater.destroy();
      done(error);
    },
  });
  inflater.once("error", (error) => meter.destroy(BodyError.malformed(error)));
  req.once("close", () => {
    if (!req.complete) meter.destroy(new RequestAborted());
  });
  req.on("data", count);
  req.pipe(inflater).pipe(meter);
  return meter;
}

function streamFor(
  encoding: RequestEncoding,
): zlib.Gunzip | zlib.Inflate | zlib.BrotliDecompress {
  if (encoding === "gzip") return zlib.createGunzip();
  if (encoding === "deflate") return zlib.createInflate();
  return zlib.createBrotliDecompress();
}
