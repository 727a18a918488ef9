/** Compressed bodies: gzip, deflate and br, inflated under the limit of the body. */
import type { IncomingMessage } from "node:http";
import { Transform, type Readable } from "node:stream";
import * as zlib from "node:zlib";
import { networkOf } from "../../utils/addresses";
import { Slots } from "../../utils/promises";
import { MAX_RATIO, mostInflated } from "../estimates";
import { BodyError } from "./bodyRefusal";
import { SlowClients, STALLED_SENDER_MS, type SlowClient } from "../heldBytes";
import { joined } from "./chunks";
import type { WebRequest } from "./webRequest";

export type RequestEncoding = "gzip" | "deflate" | "br";

const NAMES: Record<string, RequestEncoding> = {
  gzip: "gzip",
  "x-gzip": "gzip",
  deflate: "deflate",
  br: "br",
};

/**
 * The memory of a decoder outside of the heap: that of brotli takes 16 MiB, before its first byte of output, and a megabyte for its
 * trees; the others 45 KB. The sender decides, with fourteen bytes.
 */
const SMALL_DECODER_BYTES = 64 * 1024;
const BROTLI_DECODER_BYTES = 17 * 1024 * 1024;

/** The maximum of bodies inflated at once, per encoding; bodies that have arrived completely are queued, and addresses take turns. */
const TURNS: Record<RequestEncoding, Slots> = {
  gzip: new Slots(16),
  deflate: new Slots(16),
  br: new Slots(2),
};

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
 * @param hold called before the inflation, and for each chunk before it is stored; an error ends the inflation
 * @throws BodyError, RequestAborted
 */
export async function inflate(
  bytes: Buffer,
  encoding: RequestEncoding,
  {
    clientAddress,
    limit,
    tooLarge,
    hold,
  }: {
    clientAddress: string | undefined;
    limit: number;
    tooLarge: () => BodyError;
    hold: (bytes: number) => Error | undefined;
  },
): Promise<Buffer> {
  const most = mostInflated(bytes.length);
  const turns = TURNS[encoding];
  await turns.take(networkOf(clientAddress ?? "") ?? "");
  const gone = hold(0);
  if (gone) {
    turns.release();
    throw gone;
  }
  const inflater = streamFor(encoding);
  inflater.once("close", () => turns.release());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const refusalOf = (chunk: Buffer) => {
      length += chunk.length;
      if (length > Math.min(limit, most))
        return most < limit ? BodyError.bomb(MAX_RATIO) : tooLarge();
      return hold(chunk.length);
    };
    inflater.on("data", (chunk: Buffer) => {
      const refusal = refusalOf(chunk);
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
 * @throws BodyError, RequestAborted
 */
export function inflating(
  request: WebRequest,
  encoding: RequestEncoding,
): Readable {
  const upload = encoding === "br" ? new BrotliUpload(request) : undefined;
  if (upload) makeRoomFor(upload);
  else request.reserve(SMALL_DECODER_BYTES);
  const inflater = streamFor(encoding);
  const source = joined(request.req);
  let received = 0;
  let inflated = 0;
  const count = (chunk: Buffer) => {
    received += chunk.length;
  };
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      inflated += chunk.length;
      const isBomb = inflated > mostInflated(received);
      next(isBomb ? BodyError.bomb(MAX_RATIO) : null, chunk);
    },
    destroy(error, done) {
      source.destroy();
      inflater.destroy();
      done(error);
    },
  });
  if (upload) {
    brotliUploads.add(upload);
    upload.refuse = () => meter.destroy(BodyError.noDecoder());
    meter.once("close", () => brotliUploads.delete(upload));
  }
  meter.on("error", () => undefined); // the reader may have refused the request before it listens
  inflater.once("error", (error) => meter.destroy(BodyError.malformed(error)));
  source.once("error", (error) => meter.destroy(error));
  source.on("data", count);
  source.pipe(inflater).pipe(meter);
  return meter;
}

function streamFor(
  encoding: RequestEncoding,
): zlib.Gunzip | zlib.Inflate | zlib.BrotliDecompress {
  if (encoding === "gzip") return zlib.createGunzip();
  if (encoding === "deflate") return zlib.createInflate();
  return zlib.createBrotliDecompress();
}

// --- Uploads in brotli that are inflated while they arrive: clients decide how long that takes.

/** Further uploads are refused, unless one of these is slow. */
const MAX_BROTLI_UPLOADS = 2;

/** A client with more than one decoder gives way to others. */
const FAIR_LIMIT = 4 * BROTLI_DECODER_BYTES;

class BrotliUpload implements SlowClient {
  readonly size = BROTLI_DECODER_BYTES;
  refuse: () => void = () => undefined;

  constructor(private readonly request: WebRequest) {}

  get address(): string | undefined {
    return this.request.clientAddress;
  }

  progress(): number {
    return this.request.bytesRead;
  }

  disconnect(): void {
    brotliUploads.delete(this);
    this.refuse();
  }
}

const brotliUploads = new SlowClients(STALLED_SENDER_MS);

/** @throws BodyError 503 */
function makeRoomFor(upload: BrotliUpload): void {
  if (brotliUploads.count < MAX_BROTLI_UPLOADS) return;
  const slower = brotliUploads.slowerThan(upload, FAIR_LIMIT);
  if (!slower) throw BodyError.noDecoder();
  slower.disconnect();
}
