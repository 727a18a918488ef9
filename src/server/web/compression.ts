/** Chooses and applies the content encoding of responses. */
import * as zlib from "node:zlib";
import { networkOf } from "../../utils/addresses";
import { Slots } from "../../utils/promises";

export type Encoding = "br" | "gzip" | "deflate";

const ENCODINGS: readonly string[] = ["br", "gzip", "deflate"];

/** The default of 11 would cost a hundred times the CPU for a few percent. */
const BROTLI_QUALITY = 4;

/** The base-2 logarithm of the window: a compressor takes 2 MB, with the default of 22 more than 8 MB. */
const BROTLI_WINDOW = 18;

/** Bodies that are compressed at once; others wait for their turn, which is short, and addresses take turns. The work is done by four threads. */
const turns = new Slots(4);

/** Bodies that may wait, in bytes: they are in no other limit. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

let waitingBytes = 0;

/** Responses that are compressed on the way: clients decide how long they take. Further files are sent as they are. */
export const compressors = new Slots(16);

/** Compressible types: texts, and formats without their own compression. */
const COMPRESSIBLE =
  /^(?:text\/(?!event-stream$)|application\/(?:json|javascript|ecmascript|xml|wasm|rtf|manifest|vnd\.ms-fontobject)$|application\/.{1,64}\+(?:json|xml)$|image\/(?:svg\+xml|bmp|x-icon|vnd\.microsoft\.icon)$|font\/(?:ttf|otf|collection)$|model\/gltf\+json$)/;

/** Whether this content type is compressible; images and archives are not, and event streams must not be buffered. */
export function isCompressible(contentType: string | undefined): boolean {
  if (contentType === undefined) return false;
  const [essence = ""] = contentType.split(";", 1);
  return COMPRESSIBLE.test(essence.trim().toLowerCase());
}

/**
 * The encoding with the highest q-value; of equals the first one listed.
 * @returns undefined for no encoding
 */
export function chooseEncoding(
  acceptEncoding: string | string[] | undefined,
): Encoding | undefined {
  if (!acceptEncoding) return undefined;
  const qualities = qualitiesOf(acceptEncoding);
  let best: Encoding | undefined;
  let bestQuality = 0;
  for (const [coding, quality] of qualities) {
    if (!ENCODINGS.includes(coding) || quality <= bestQuality) continue;
    best = coding as Encoding;
    bestQuality = quality;
  }
  return (qualities.get("identity") ?? 0) > bestQuality ? undefined : best;
}

/**
 * The encoding that a client prefers among existing copies, the smallest first, which is preferred among equals.
 * @returns undefined if the client accepts none of them
 */
export function chooseStored<Stored extends Encoding>(
  acceptEncoding: string | string[] | undefined,
  stored: readonly Stored[],
): Stored | undefined {
  if (!acceptEncoding || stored.length === 0) return undefined;
  const qualities = qualitiesOf(acceptEncoding);
  let best: Stored | undefined;
  let bestQuality = 0;
  for (const encoding of stored) {
    const quality = qualities.get(encoding) ?? 0;
    if (quality <= bestQuality) continue;
    best = encoding;
    bestQuality = quality;
  }
  return (qualities.get("identity") ?? 0) > bestQuality ? undefined : best;
}

/**
 * Compress a whole body.
 * @param isWanted asked when it is its turn: its client may have left
 * @returns undefined if it is not wanted, and if too many wait: it is to be sent as it is then
 */
export async function compressBody(
  encoding: Encoding,
  body: string | Buffer,
  isWanted: () => boolean,
  clientAddress?: string,
): Promise<Buffer | undefined> {
  if (!turns.takeNow()) {
    if (waitingBytes + body.length > MAX_WAITING_BYTES) return undefined;
    waitingBytes += body.length;
    await turns.take(networkOf(clientAddress ?? "") ?? "");
    waitingBytes -= body.length;
  }
  try {
    return isWanted() ? await compressNow(encoding, body) : undefined;
  } finally {
    turns.release();
  }
}

function compressNow(
  encoding: Encoding,
  body: string | Buffer,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: Buffer) =>
      error ? reject(error) : resolve(result);
    if (encoding === "gzip") zlib.gzip(body, done);
    else if (encoding === "deflate") zlib.deflate(body, done);
    else zlib.brotliCompress(body, brotliOptions(), done);
  });
}

/** A stream that compresses what is piped through it. */
export function compressor(
  encoding: Encoding,
): zlib.Gzip | zlib.Deflate | zlib.BrotliCompress {
  if (encoding === "gzip") return zlib.createGzip();
  if (encoding === "deflate") return zlib.createDeflate();
  return zlib.createBrotliCompress(brotliOptions());
}

function brotliOptions(): zlib.BrotliOptions {
  return {
    params: {
      [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
      [zlib.constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW,
    },
  };
}

// --- Reads the q-values of `Accept` and `Accept-Encoding` (RFC 9110 section 12.4.2).

/** The values of a header in lower case with their q-values, in the order of the header. */
export function qualitiesOf(header: string | string[]): Map<string, number> {
  const qualities = new Map<string, number>();
  for (const entry of String(header).split(",")) {
    const [name = "", ...parameters] = entry.split(";");
    const value = name.trim().toLowerCase();
    if (!qualities.has(value)) qualities.set(value, qualityOf(parameters));
  }
  return qualities;
}

/** `;q=0.5`; without it 1, and 0 means "not this one". */
function qualityOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=");
    if (name.trim().toLowerCase() !== "q") continue;
    const quality = Number(value.trim());
    return Number.isFinite(quality) ? Math.min(Math.max(quality, 0), 1) : 0;
  }
  return 1;
}
