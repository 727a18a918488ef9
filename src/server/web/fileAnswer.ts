/** A file for one client: the chosen copy or encoding, and its headers. */
import * as fs from "node:fs";
import type { Readable } from "node:stream";
import {
  ContentTags,
  tagOfContent,
  type FileIdentity,
} from "../../staticFile/contentTag";
import type { StoredEncoding } from "../../staticFile/results";
import type { StaticFileResult } from "../../staticFile/staticFile";
import { chooseStored, isCompressible, type Encoding } from "./compression";
import { valueOf } from "./headers";
import { etagOf, versionOf, type Validators } from "./preconditions";
import type { WebRequest } from "./webRequest";
import { encodingFor } from "./write";

export interface FileAnswer {
  /** The error for the client, if there is no file. */
  error?: unknown;
  /** The bytes of a file in memory. */
  content?: Buffer;
  fileStream?: Readable;
  mime: string | null | undefined;
  /** Bytes; null if unknown. */
  length: number | null | undefined;
  lastModified?: Date;
  /** The last change of the file (ctime), in ms since the epoch. */
  ctimeMs?: number;
  /** The path of a file whose size and time are known to be current. */
  path?: string;
  /** Called when `content` was sent. */
  sent?: () => void;
  /** A file of a public folder. */
  found?: StaticFileResult;
  /** The bytes are a compressed copy. */
  storedEncoding?: Encoding;
}

const contentTags = new ContentTags();

const UNKNOWN_TYPE = "application/octet-stream";

/** A file of a public folder; a file in memory gets no stream. */
export function fileAnswerOf(found: StaticFileResult): FileAnswer {
  const { content, mime, length, lastModified, ctimeMs } = found;
  const { file, sent } = found;
  const fileStream = content ? undefined : found.fileStream;
  return {
    error: found.error as unknown,
    content,
    fileStream,
    mime,
    length,
    lastModified,
    ctimeMs,
    path: file,
    sent,
    found,
  };
}

/** A precompressed copy of the file that the client accepts, else the file. */
export async function storedCopy(
  request: WebRequest,
  file: FileAnswer,
): Promise<FileAnswer> {
  const { config, req } = request;
  if (!config.strictHttp && !config.compress) return file;
  if (!mayEncode(request, file)) return file;
  if (config.compress) varyByEncoding(request);
  const { found } = file;
  const stored = await found?.copies?.encodingsOf(found);
  if (!found || !stored || stored.length === 0) return file;
  varyByEncoding(request);
  // parts of a compressed copy mean nothing to a client that asks for parts of the file
  if (req.headers.range !== undefined) return file;
  const encoding = chooseStored(req.headers["accept-encoding"], stored);
  return encoding ? copyOr(file, found, encoding) : file;
}

/** The copy with an encoding, or the file itself if the copy cannot be read. */
async function copyOr(
  file: FileAnswer,
  found: StaticFileResult,
  encoding: StoredEncoding,
): Promise<FileAnswer> {
  const copy = await found.copies?.get(found, encoding);
  if (!copy || copy.error) return file;
  file.fileStream?.destroy();
  return { ...fileAnswerOf(copy), mime: file.mime, storedEncoding: encoding };
}

/** Parts of a compressed body mean nothing to a client that asks for parts of the file. */
export function encodingOnTheWay(
  request: WebRequest,
  file: FileAnswer,
): Encoding | undefined {
  const { config, req } = request;
  if (!config.compress || file.storedEncoding) return undefined;
  if (req.headers.range !== undefined) return undefined;
  if (!mayEncode(request, file)) return undefined;
  return encodingFor(request, file.length ?? Infinity);
}

/** A compressible type, unless the project has encoded the file itself or forbids it (`no-transform`). */
function mayEncode(request: WebRequest, { mime }: FileAnswer): boolean {
  if (!isCompressible(mime ?? undefined)) return false;
  if (request.projectValueOf("content-encoding") !== undefined) return false;
  const cacheControl = request.projectValueOf("cache-control") ?? "";
  return !/\bno-transform\b/i.test(cacheControl);
}

export async function validatorsOf(
  request: WebRequest,
  file: FileAnswer,
  encoding: Encoding | undefined,
): Promise<Validators> {
  const { config } = request;
  const { lastModified } = file;
  const etag = request.projectValueOf("etag");
  if (etag !== undefined) return { etag, lastModified };
  const isStrict = config.strictHttp;
  const version = config.enableEtag
    ? await (isStrict ? contentOf(file) : datedVersionOf(file))
    : undefined;
  if (version === undefined) return { etag: undefined, lastModified };
  const options = {
    encoding: encoding ?? file.storedEncoding,
    // compression on the fly may give different bytes on other servers
    isStrong: isStrict && !encoding,
  };
  return { etag: etagOf(version, options), lastModified };
}

/** The headers of a file, regardless of the status. */
export function describeFile(
  request: WebRequest,
  file: FileAnswer,
  { etag, lastModified }: Validators,
): void {
  const { config, responseHeaders } = request;
  request.setDefault("Content-Type", contentTypeOf(request, file));
  if (file.storedEncoding)
    responseHeaders.push(["Content-Encoding", file.storedEncoding]);
  if (valueOf(responseHeaders, "cache-control") === undefined) {
    const seconds = config.flatFileCacheDuration;
    request.setDefault(
      "Cache-Control",
      `max-age=${seconds}, must-revalidate, public`,
    );
  }
  if (etag) request.setDefault("ETag", etag);
  const isDated = config.strictHttp || !config.enableEtag;
  if (isDated && lastModified)
    request.setDefault("Last-Modified", lastModified.toUTCString());
}

/** Public files are UTF-8, which browsers do not assume. */
function contentTypeOf(
  { config }: WebRequest,
  { mime, found }: FileAnswer,
): string {
  const type = mime || UNKNOWN_TYPE;
  const isText = /^(?:text\/|application\/javascript$)[^;]*$/.test(type);
  return config.strictHttp && found && isText ? `${type}; charset=utf-8` : type;
}

/** Caches must distinguish the encodings of this file, whichever is sent now. */
function varyByEncoding({ responseHeaders }: WebRequest): void {
  responseHeaders.push(["Vary", "Accept-Encoding"]);
}

/** A replaced file may have the size and time of the old one, but not the same bytes. */
async function contentOf(file: FileAnswer): Promise<string | undefined> {
  if (file.content) return tagOfContent(file.content);
  const known = await identityOf(file);
  return known && contentTags.of(known.path, known);
}

async function datedVersionOf(file: FileAnswer): Promise<string | undefined> {
  const known = await identityOf(file);
  return known && versionOf(known.size, known.lastModified);
}

/** Place, size and times of the file behind an answer; streams that are no files have none. */
async function identityOf({
  path,
  length,
  lastModified,
  ctimeMs = 0,
  fileStream,
}: FileAnswer): Promise<(FileIdentity & { path: string }) | undefined> {
  if (path !== undefined && typeof length === "number" && lastModified)
    return { path, size: length, lastModified, ctimeMs };
  const streamPath = (fileStream as { path?: unknown } | undefined)?.path;
  if (typeof streamPath !== "string" && !Buffer.isBuffer(streamPath))
    return undefined;
  try {
    const { size, mtime, ctimeMs } = await fs.promises.stat(streamPath);
    return { path: String(streamPath), size, lastModified: mtime, ctimeMs };
  } catch {
    return undefined; // it was deleted: reading it will report that
  }
}
