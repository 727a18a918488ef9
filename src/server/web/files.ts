/** Responds to requests for files: validators, ranges, compression, streams. */
import * as fs from "node:fs";
import type { ServerResponse } from "node:http";
import { pipeline, Readable } from "node:stream";
import { api } from "../../api";
import { toError } from "../../errors";
import { escapeControls } from "../../log/escape";
import { log } from "../../log/log";
import type { RouteType } from "../../route/tables";
import type { StaticFileResult } from "../../staticFile/staticFile";
import { compressor, type Encoding } from "./compression";
import { respondWithFileError } from "./respond";
import {
  describeFile,
  encodingOnTheWay,
  type FileResponse,
  fileResponseOf,
  storedCopy,
  validatorsOf,
  type ByteRange,
  evaluate,
  isFresh,
  requestedRange,
  type Validators,
  type Verdict,
} from "./fileResponse";
import { setFlat } from "./headers";
import { allowHeader, FILE_METHODS } from "./routeRequest";
import type { WebRequest } from "./webRequest";
import {
  canWrite,
  endBodiless,
  isBodiless,
  statusOf,
  writeBody,
  writeEncoded,
  writeHead,
} from "./write";

/** The decisions about how a file is sent. */
interface Delivery {
  /** The encoding to compress it with on the way. */
  encoding: Encoding | undefined;
  range: ByteRange | undefined;
}

/**
 * Resolves when the response has been sent.
 * @param noteUnread is told how many bytes wait until the client reads
 */
export async function respondWithFile(
  request: WebRequest,
  original: FileResponse,
  noteUnread: (bytes: number) => void,
): Promise<void> {
  if (original.error) return respondNotFound(request, original);
  // a stream that cannot be opened may fail before it is read: the failure is noticed when it is read
  original.fileStream?.on("error", () => {});
  const refused = original.found && refuseFile(request, original.found);
  if (refused || !canWrite(request.res)) {
    original.fileStream?.destroy();
    return refused;
  }
  const file = await storedCopy(request, original);
  const encoding = encodingOnTheWay(request, file);
  const validators = await validatorsOf(request, file, encoding);
  describeFile(request, file, validators);

  const verdict = verdictOn(request, validators);
  if (verdict === "fresh") return respondNotModified(request, file);
  if (verdict === "failed") return respondFailed(request, file);
  const range = rangeFor(request, file, encoding, validators);
  if (range === "unsatisfiable") return respondUnsatisfiable(request, file);
  if (file.content)
    return respondFromMemory(request, file, { encoding, range });
  return respondFromStream(request, file, { encoding, range, noteUnread });
}

/** @returns a promise of the response if the URL or method does not fit the file */
function refuseFile(
  request: WebRequest,
  found: StaticFileResult,
): Promise<void> | undefined {
  const isIndex = request.namesFolder || found.isIndex === true;
  return isFileAsFolder(request, isIndex)
    ? respondNoFolder(request, found)
    : refuseFileRequest(request, isIndex);
}

async function respondNoFolder(
  request: WebRequest,
  { connection }: StaticFileResult,
): Promise<void> {
  const missing = await api.staticFile.sendFileNotFound(
    connection,
    "a file is not a folder",
  );
  return respondNotFound(request, fileResponseOf(missing));
}

function verdictOn(
  { req, config, method }: WebRequest,
  validators: Validators,
): Verdict {
  if (config.strictHttp) return evaluate(req.headers, method, validators);
  return isFresh(req.headers, validators) ? "fresh" : "send";
}

async function respondNotFound(
  request: WebRequest,
  { error, fileStream }: FileResponse,
): Promise<void> {
  fileStream?.destroy();
  const charset = request.config.strictHttp ? "; charset=utf-8" : "";
  const type = `text/html${charset}`;
  const text = textOf(error);
  await respondWithFileError(request, { status: 404, text, type });
}

function respondNotModified(request: WebRequest, { fileStream }: FileResponse) {
  fileStream?.destroy();
  endBodiless(request, 304, request.flatHeaders());
}

/** If-Match or If-Unmodified-Since: the file is not the one that the client means. */
async function respondFailed(
  request: WebRequest,
  { fileStream }: FileResponse,
): Promise<void> {
  fileStream?.destroy();
  request.responseHttpCode = 412;
  await writeEncoded(request, "", undefined);
}

async function respondUnsatisfiable(
  request: WebRequest,
  { fileStream, length }: FileResponse,
): Promise<void> {
  fileStream?.destroy();
  request.responseHttpCode = 416;
  request.responseHeaders.push(["Content-Range", `bytes */${length}`]);
  await writeEncoded(request, "", undefined);
}

async function respondFromMemory(
  request: WebRequest,
  file: FileResponse,
  { encoding, range }: Delivery,
): Promise<void> {
  const content = file.content!;
  if (!encoding) announceRange(request, file, content.length, range);
  const body = range ? content.subarray(range.start, range.end + 1) : content;
  await writeEncoded(request, body, encoding);
  file.sent?.();
}

async function respondFromStream(
  request: WebRequest,
  file: FileResponse,
  delivery: Delivery & Pick<PumpOptions, "noteUnread">,
): Promise<void> {
  const { encoding } = delivery;
  const length = announceLength(request, file, delivery);
  const status = statusOf(request);
  const head = request.flatHeaders();
  if (isBodiless(status)) {
    file.fileStream?.destroy();
    return endBodiless(request, status, head);
  }
  if (encoding) setFlat(head, "content-encoding", encoding);
  const isUnknown = encoding || length === undefined;
  setFlat(head, "content-length", isUnknown ? undefined : String(length));
  if (request.method === "HEAD" || length === 0) {
    file.fileStream?.destroy();
    writeHead(request, status, head);
    request.res.end();
    return;
  }
  const begin = () => {
    writeHead(request, status, head);
    // a client that stops reading is disconnected
    request.res.socket?.setTimeout(request.config.sendTimeout);
  };
  try {
    await sendBytes(request, file, { ...delivery, length, begin });
  } catch (error) {
    await respondBroken(request, error);
  }
}

/** @returns the number of bytes to send before compression; undefined if it is unknown */
function announceLength(
  request: WebRequest,
  file: FileResponse,
  { encoding, range }: Delivery,
): number | undefined {
  const total = file.length ?? undefined;
  if (total !== undefined && !encoding)
    announceRange(request, file, total, range);
  return range ? range.end - range.start + 1 : total;
}

/** Send a file from a stream, whole or a range of it. */
async function sendBytes(
  request: WebRequest,
  file: FileResponse,
  {
    encoding,
    range,
    length,
    begin,
    noteUnread,
  }: Delivery & Omit<PumpOptions, "skip">,
): Promise<void> {
  // the client has left while the file was opened
  if (request.res.destroyed) return void file.fileStream?.destroy();
  if (encoding) return sendCompressed(request, file, encoding, begin);
  const reopened = range && file.path ? reopen(file, range) : undefined;
  const skip = reopened ? 0 : (range?.start ?? 0);
  await pump(reopened ?? streamOf(file), request.res, {
    skip,
    length,
    begin,
    noteUnread,
  });
}

/** The file existed a moment ago, but cannot be read. */
async function respondBroken(
  request: WebRequest,
  error: unknown,
): Promise<void> {
  const { message } = toError(error);
  log(escapeControls(`error reading file: ${message}`), "error");
  if (!canWrite(request.res)) return;
  request.responseHeaders = request.responseHeaders.filter(
    ([name]) =>
      !/^(?:etag|cache-control|content-|accept-ranges|last-m)/i.test(name),
  );
  await respondNotFound(request, fileError(message));
}

function fileError(message: string): FileResponse {
  return {
    error: `error reading file: ${withoutPath(message)}`,
    mime: undefined,
    length: null,
  };
}

/** `ENOENT: no such file or directory, open '/a/b'` up to its comma: the path is not public. */
function withoutPath(message: string): string {
  const quote = message.indexOf("'");
  if (quote === -1) return message;
  const comma = message.lastIndexOf(", ", quote);
  return message.slice(0, comma === -1 ? quote : comma);
}

function sendCompressed(
  { res }: WebRequest,
  file: FileResponse,
  encoding: Encoding,
  begin: () => void,
): Promise<void> {
  const source = streamOf(file);
  source.once("end", () => file.sent?.());
  return new Promise((resolve, reject) => {
    if (source.errored) return reject(source.errored);
    source.once("error", (error) => {
      if (!res.headersSent) reject(error);
    });
    source.once("readable", () => {
      if (source.errored) return;
      begin();
      pipeline(source, compressor(encoding), res, () => resolve());
    });
  });
}

function streamOf({ fileStream }: FileResponse): Readable {
  return fileStream ?? Readable.from([]);
}

function reopen(file: FileResponse, { start, end }: ByteRange): Readable {
  file.fileStream?.destroy();
  return fs.createReadStream(file.path!, { start, end });
}

function announceRange(
  request: WebRequest,
  { storedEncoding }: FileResponse,
  total: number,
  range: ByteRange | undefined,
): void {
  if (storedEncoding) return; // ranges are always those of the file itself
  const headers = request.responseHeaders;
  headers.push(["Accept-Ranges", "bytes"]);
  if (!range) return;
  request.responseHttpCode = 206;
  headers.push(["Content-Range", `bytes ${range.start}-${range.end}/${total}`]);
}

function rangeFor(
  request: WebRequest,
  { length, storedEncoding }: FileResponse,
  encoding: Encoding | undefined,
  validators: Validators,
): ByteRange | "unsatisfiable" | undefined {
  if (request.method !== "GET" || typeof length !== "number") return undefined;
  if (encoding || storedEncoding) return undefined;
  if (request.responseHttpCode !== 200) return undefined;
  return requestedRange(request.req.headers, length, validators);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * With `web.strictHttp`: respond to a request for an existing file with a wrong method or path.
 * @param isIndex the file is the index of a folder that the path names
 * @returns undefined when the file is to be sent
 */
function refuseFileRequest(
  request: WebRequest,
  isIndex: boolean,
): Promise<void> | undefined {
  const { config, target, method, connection } = request;
  // what an action sends has its own URL
  if (!config.strictHttp || target.mode !== "file") return undefined;
  const isRead = method === "GET" || method === "HEAD";
  const route = connection?.matchedRoute as RouteType | undefined;
  if (!isRead && route?.dir === undefined) return refuseMethod(request);
  if (isRead && isIndex && !target.pathname.endsWith("/"))
    return redirectToFolder(request);
  return undefined;
}

/** Whether the URL names a folder, but there is a file: relative links in it would be meant from within a folder. */
function isFileAsFolder(
  { config, target }: WebRequest,
  isIndex: boolean,
): boolean {
  return (
    config.strictHttp &&
    target.mode === "file" &&
    !isIndex &&
    target.pathname.endsWith("/")
  );
}

/** RFC 9110 section 15.5.6. */
async function refuseMethod(request: WebRequest): Promise<void> {
  request.responseHeaders.push(["Allow", allowHeader(FILE_METHODS)]);
  const refusal = {
    status: 405,
    text: "files are only for GET and HEAD",
    type: "text/plain; charset=utf-8",
  };
  await respondWithFileError(request, refusal);
}

/** Relative links in the index of a folder are relative to the folder. */
async function redirectToFolder(request: WebRequest): Promise<void> {
  const { pathname, search } = request.target;
  // `//host/` would lead to another site
  const location = `/${pathname.replace(/^[/\\]+/, "")}/${search}`;
  request.responseHttpCode = 301;
  request.responseHeaders.push(
    ["Location", location],
    ["Content-Type", "text/plain; charset=utf-8"],
  );
  await writeBody(request, "");
}

// --- Sends a stream as the body of a response, with exactly the announced number of bytes.

interface PumpOptions {
  /** Bytes to skip at the beginning. */
  skip: number;
  /** The announced number of bytes; undefined: all. */
  length: number | undefined;
  /** Called before the first byte, when the stream is known to be readable. */
  begin: () => void;
  /** Is told how many bytes wait until the client reads. */
  noteUnread: (bytes: number) => void;
}

/**
 * If a file shrinks while it is sent, the connection is aborted, so that the client does not take it for complete.
 * @throws the error of the stream if nothing was sent yet; later the connection is aborted instead
 */
function pump(
  stream: Readable,
  res: ServerResponse,
  { skip, length, begin, noteUnread }: PumpOptions,
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
      if (!res.write(bytes)) {
        stream.pause();
        // the stream reads ahead
        noteUnread(res.writableLength + stream.readableHighWaterMark);
      }
      if (left === 0) res.end(finish);
    });
    res.on("drain", () => {
      noteUnread(0);
      stream.resume();
    });
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
