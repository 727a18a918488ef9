/** Chooses and applies the content encoding of responses. */
import * as zlib from "node:zlib";

export type Encoding = "br" | "gzip" | "deflate";

const SUPPORTED: readonly string[] = ["br", "gzip", "deflate"];

/** The default of 11 would cost a hundred times the CPU for a few percent. */
const BROTLI_QUALITY = 4;

/**
 * The encoding that the client likes best; of equals the one it names first.
 * @returns undefined for none at all
 */
export function chooseEncoding(
  acceptEncoding: string | string[] | undefined,
): Encoding | undefined {
  if (!acceptEncoding) return undefined;
  let best: Encoding | undefined;
  let bestQuality = 0;
  let identityQuality = 0;
  for (const entry of String(acceptEncoding).split(",")) {
    const [name = "", ...parameters] = entry.split(";");
    const coding = name.trim().toLowerCase();
    const quality = qualityOf(parameters);
    if (coding === "identity") identityQuality = quality;
    const supported = SUPPORTED.includes(coding)
      ? (coding as Encoding)
      : undefined;
    if (supported && quality > bestQuality) {
      best = supported;
      bestQuality = quality;
    }
  }
  return identityQuality > bestQuality ? undefined : best;
}

/** Compress a whole body. */
export function compressBody(
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
  return { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } };
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
