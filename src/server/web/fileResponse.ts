/** A file for one client: the chosen copy or encoding, its headers, and the conditions of the request. */
import * as fs from "node:fs";
import type { Readable } from "node:stream";
import {
  ContentTags,
  tagOfContent,
  type FileIdentity,
} from "../../staticFile/disk";
import type { StoredEncoding } from "../../staticFile/results";
import type { StaticFileResult } from "../../staticFile/staticFile";
import {
  chooseStored,
  compressors,
  type Encoding,
  isCompressible,
} from "./compression";
import { valueOf } from "./headers";
import type { WebRequest } from "./webRequest";
import { encodingFor } from "./write";
import type { IncomingHttpHeaders } from "node:http";

export interface FileResponse {
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
export function fileResponseOf(found: StaticFileResult): FileResponse {
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
  file: FileResponse,
): Promise<FileResponse> {
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
  file: FileResponse,
  found: StaticFileResult,
  encoding: StoredEncoding,
): Promise<FileResponse> {
  const copy = await found.copies?.get(found, encoding);
  if (!copy || copy.error) return file;
  file.fileStream?.destroy();
  return { ...fileResponseOf(copy), mime: file.mime, storedEncoding: encoding };
}

/**
 * The encoding to compress a file with while it is sent. Parts of a compressed body mean nothing to a client that asks for
 * parts of the file.
 */
export function encodingOnTheWay(
  request: WebRequest,
  file: FileResponse,
): Encoding | undefined {
  const { config, req } = request;
  if (!config.compress || file.storedEncoding) return undefined;
  if (req.headers.range !== undefined) return undefined;
  if (!mayEncode(request, file)) return undefined;
  const encoding = encodingFor(request, file.length ?? Infinity);
  return encoding && reserveCompressor(request) ? encoding : undefined;
}

/** Reserve a compressor until the end of the response. */
function reserveCompressor({ res }: WebRequest): boolean {
  if (res.destroyed || !compressors.takeNow()) return false;
  res.once("close", () => compressors.release());
  return true;
}

/** A compressible type, unless the project has encoded the file itself or forbids it (`no-transform`). */
function mayEncode(request: WebRequest, { mime }: FileResponse): boolean {
  if (!isCompressible(mime ?? undefined)) return false;
  if (request.projectValueOf("content-encoding") !== undefined) return false;
  const cacheControl = request.projectValueOf("cache-control") ?? "";
  return !/\bno-transform\b/i.test(cacheControl);
}

export async function validatorsOf(
  request: WebRequest,
  file: FileResponse,
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
  file: FileResponse,
  { etag, lastModified }: Validators,
): void {
  const { config, responseHeaders } = request;
  request.setDefault("Content-Type", contentTypeOf(request, file));
  if (file.storedEncoding)
    responseHeaders.push(["Content-Encoding", file.storedEncoding]);
  if (valueOf(responseHeaders, "cache-control") === undefined) {
    const cacheFor = config.flatFileCacheDuration;
    request.setDefault(
      "Cache-Control",
      `max-age=${cacheFor}, must-revalidate, public`,
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
  { mime, found }: FileResponse,
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
async function contentOf(file: FileResponse): Promise<string | undefined> {
  if (file.content) return tagOfContent(file.content);
  const known = await identityOf(file);
  return known && contentTags.of(known.path, known);
}

async function datedVersionOf(file: FileResponse): Promise<string | undefined> {
  const known = await identityOf(file);
  return known && versionOf(known.size, known.lastModified);
}

/** Place, size and times of the file behind a response; undefined for streams that are not files. */
async function identityOf({
  path,
  length,
  lastModified,
  ctimeMs = 0,
  fileStream,
}: FileResponse): Promise<(FileIdentity & { path: string }) | undefined> {
  if (path !== undefined && typeof length === "number" && lastModified)
    return { path, size: length, lastModified, ctimeMs };
  const streamPath = (fileStream as { path?: unknown } | undefined)?.path;
  if (typeof streamPath !== "string" && !Buffer.isBuffer(streamPath))
    return undefined;
  try {
    const {
      size,
      mtime,
      ctimeMs: changedMs,
    } = await fs.promises.stat(streamPath);
    return {
      path: String(streamPath),
      size,
      lastModified: mtime,
      ctimeMs: changedMs,
    };
  } catch {
    return undefined; // it was deleted: reading it will report that
  }
}

// --- Validators of files, and the conditions that clients attach to requests for them (RFC 9110 sections 8.8 and 13).

export interface Validators {
  etag: string | undefined;
  lastModified: Date | undefined;
}

/** Send the file, "not modified" (304), or "precondition failed" (412). */
export type Verdict = "send" | "fresh" | "failed";

interface EtagOptions {
  /** Each content encoding of a file has a tag of its own. */
  encoding?: string;
  /** A strong tag: the same tag means the same bytes, so that parts of the file can be combined. */
  isStrong?: boolean;
}

/** The ETag of version 29: `<size>-<mtime>` in hex. */
export function versionOf(size: number, lastModified: Date): string {
  return `${size.toString(16)}-${Math.floor(lastModified.getTime()).toString(16)}`;
}

/** The tag of one version of a file. */
export function etagOf(
  version: string,
  { encoding, isStrong }: EtagOptions = {},
): string {
  const tag = encoding ? `"${version}-${encoding}"` : `"${version}"`;
  return isStrong ? tag : `W/${tag}`;
}

/** All conditions in the order of RFC 9110 section 13.2.2. Other methods than GET and HEAD read no file. */
export function evaluate(
  headers: IncomingHttpHeaders,
  method: string,
  validators: Validators,
): Verdict {
  if (method !== "GET" && method !== "HEAD") return "send";
  if (!isStillTheSame(headers, validators)) return "failed";
  const noneMatch = headers["if-none-match"];
  if (noneMatch !== undefined) {
    const isKnown = lists(noneMatch, validators.etag, weakly);
    return isKnown && !wantsFresh(headers) ? "fresh" : "send";
  }
  return isUnmodified(headers["if-modified-since"], validators)
    ? "fresh"
    : "send";
}

/** As in version 29: only If-None-Match is checked, and only if there is an ETag. */
export function isFresh(
  headers: IncomingHttpHeaders,
  validators: Validators,
): boolean {
  const noneMatch = headers["if-none-match"];
  if (noneMatch === undefined || validators.etag === undefined)
    return isUnmodified(headers["if-modified-since"], validators);
  return !wantsFresh(headers) && lists(noneMatch, validators.etag, weakly);
}

/** If-Match, and without it If-Unmodified-Since: whether the file is still the one that the client knows. */
function isStillTheSame(
  headers: IncomingHttpHeaders,
  validators: Validators,
): boolean {
  const match = headers["if-match"];
  if (match !== undefined) return lists(match, validators.etag, strongly);
  const since = headers["if-unmodified-since"];
  return (
    since === undefined ||
    Number.isNaN(Date.parse(since)) ||
    validators.lastModified === undefined ||
    isUnmodified(since, validators)
  );
}

/** If-Range: a part is valid only if the file has not changed since. */
export function isRangeValid(
  { "if-range": ifRange }: IncomingHttpHeaders,
  { etag, lastModified }: Validators,
): boolean {
  if (ifRange === undefined) return true;
  if (typeof ifRange !== "string") return false;
  // parts of files that are merely equivalent cannot be combined
  if (ifRange.includes('"'))
    return etag !== undefined && strongly(ifRange.trim(), etag);
  return (
    lastModified !== undefined && seconds(lastModified) === Date.parse(ifRange)
  );
}

function isUnmodified(
  since: string | undefined,
  { lastModified }: Validators,
): boolean {
  if (since === undefined || !lastModified) return false;
  const date = Date.parse(since);
  return Number.isFinite(date) && seconds(lastModified) <= date;
}

/** Some clients also send validators when reloading. */
function wantsFresh(headers: IncomingHttpHeaders): boolean {
  const directives = headers["cache-control"]?.toLowerCase().split(",") ?? [];
  return directives.some((directive) => directive.trim() === "no-cache");
}

/** `*` stands for any file that exists. */
function lists(
  list: string,
  etag: string | undefined,
  isEqual: (candidate: string, etag: string) => boolean,
): boolean {
  for (const entry of list.split(",")) {
    const candidate = entry.trim();
    if (candidate === "*") return true;
    if (etag !== undefined && isEqual(candidate, etag)) return true;
  }
  return false;
}

function weakly(candidate: string, etag: string): boolean {
  return opaque(candidate) === opaque(etag);
}

function strongly(candidate: string, etag: string): boolean {
  return candidate === etag && !etag.startsWith("W/");
}

function opaque(etag: string): string {
  return etag.startsWith("W/") ? etag.slice(2) : etag;
}

/** HTTP dates have no milliseconds. */
function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000;
}

// --- Requests for a part of a file (RFC 9110 section 14).

/** First and last byte. */
export interface ByteRange {
  start: number;
  end: number;
}

/**
 * The requested bytes.
 * @returns undefined for the whole file, `"unsatisfiable"` if the file has none of them
 */
export function requestedRange(
  headers: IncomingHttpHeaders,
  length: number,
  validators: Validators,
): ByteRange | "unsatisfiable" | undefined {
  if (headers.range === undefined || !isRangeValid(headers, validators))
    return undefined;
  const spec = rangeSpec(headers.range);
  if (!spec) return undefined; // several ranges, or an unknown unit: the whole file is always a valid response
  const { first, last } = spec;
  if (first === "") {
    if (Number(last) === 0) return "unsatisfiable";
    if (length === 0) return undefined; // the whole file, because it is shorter than the suffix
    return { start: Math.max(0, length - Number(last)), end: length - 1 };
  }
  const start = Number(first);
  const end = last === "" ? length - 1 : Math.min(Number(last), length - 1);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= length ? "unsatisfiable" : { start, end };
}

/**
 * `bytes=first-last`, either of which may be empty. Each part is trimmed before it is matched: in one expression the
 * spaces around a digit that is missing could be shared out in many ways, and all of them would be tried.
 */
function rangeSpec(range: string): { first: string; last: string } | undefined {
  const equals = range.indexOf("=");
  const dash = range.indexOf("-", equals + 1);
  if (equals === -1 || dash === -1) return undefined;
  if (range.slice(0, equals).trim().toLowerCase() !== "bytes") return undefined;
  const first = range.slice(equals + 1, dash).trim();
  const last = range.slice(dash + 1).trim();
  if (first === "" && last === "") return undefined;
  return /^\d*$/.test(first) && /^\d*$/.test(last)
    ? { first, last }
    : undefined;
}
