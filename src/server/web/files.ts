/** Answers requests for files: validators, ranges, compression, streams. */
import * as fs from "node:fs";
import { pipeline, Readable } from "node:stream";
import { toError } from "../../errors";
import type { StaticFileResult } from "../../staticFile/staticFile";
import { log } from "../../log/log";
import { chooseEncoding, compressor, type Encoding } from "./compression";
import { setFlat, valueOf } from "./headers";
import { pump } from "./pump";
import { etagOf, isFresh, requestedRange, type ByteRange } from "./range";
import { WEB_DEFAULTS } from "./webConfig";
import type { WebRequest } from "./webRequest";
import {
  addVary,
  canWrite,
  statusOf,
  writeAsItIs,
  writeBody,
  writeHead,
  type Extra,
} from "./write";

export interface FileAnswer {
  /** Why there is no file, for the client. */
  error?: unknown;
  /** The bytes, of a file that is held in memory. */
  content?: Buffer;
  fileStream?: Readable;
  mime: string | null | undefined;
  /** Bytes; null when it is not known. */
  length: number | null | undefined;
  lastModified?: Date;
  /** Where it is, if it is a file of which size and time are known to be right. */
  path?: string;
  /** Called when `content` was sent. */
  sent?: () => void;
}

const UNKNOWN_TYPE = "application/octet-stream";

/** What was found in a public folder; the stream of a file in memory is not even made. */
export function fileAnswerOf(found: StaticFileResult): FileAnswer {
  const { error, content, mime, length, lastModified, file, sent } = found;
  const fileStream = content ? undefined : found.fileStream;
  return {
    error: error as unknown,
    content,
    fileStream,
    mime,
    length,
    lastModified,
    path: file,
    sent,
  };
}

/** Resolves when the answer is on its way completely. */
export async function answerWithFile(
  request: WebRequest,
  file: FileAnswer,
  extra: Extra,
): Promise<void> {
  const { req, res, config } = request;
  if (file.error) return answerNotFound(request, file, extra);
  if (!canWrite(res)) {
    file.fileStream?.destroy();
    return;
  }
  request.setDefault("Content-Type", file.mime || UNKNOWN_TYPE);
  if (valueOf(request.responseHeaders, "cache-control") === undefined) {
    const seconds =
      config.flatFileCacheDuration ?? WEB_DEFAULTS.flatFileCacheDuration;
    request.setDefault(
      "Cache-Control",
      `max-age=${seconds}, must-revalidate, public`,
    );
  }
  const encoding = encodingFor(request);
  const known = await identityOf(file, config.enableEtag === true);
  const validators = {
    lastModified: file.lastModified,
    etag:
      request.projectValueOf("etag") ??
      (known && etagOf(known.size, known.lastModified, encoding)),
  };
  if (validators.etag) request.setDefault("ETag", validators.etag);
  if (config.enableEtag !== true && file.lastModified)
    request.setDefault("Last-Modified", file.lastModified.toUTCString());

  if (isFresh(req.headers, validators)) return answerNotModified(request, file);
  const range = rangeFor(request, file, encoding, validators);
  if (range === "unsatisfiable")
    return answerUnsatisfiable(request, file, extra);
  if (file.content)
    return answerFromMemory(request, file, file.content, range, extra);
  return answerFromStream(request, file, range, encoding, extra);
}

async function answerNotFound(
  request: WebRequest,
  { error, fileStream }: FileAnswer,
  extra: Extra,
): Promise<void> {
  fileStream?.destroy();
  request.responseHttpCode = 404;
  request.responseHeaders.push(["Content-Type", "text/html"]);
  await writeBody(request, textOf(error), extra);
}

function answerNotModified(request: WebRequest, { fileStream }: FileAnswer) {
  fileStream?.destroy();
  const head = request.flatHeaders();
  setFlat(head, "content-length", undefined);
  writeHead(request, 304, head);
  request.res.end();
}

async function answerUnsatisfiable(
  request: WebRequest,
  { fileStream, length }: FileAnswer,
  extra: Extra,
): Promise<void> {
  fileStream?.destroy();
  request.responseHttpCode = 416;
  request.responseHeaders.push(["Content-Range", `bytes */${length}`]);
  await writeBody(request, "", extra);
}

async function answerFromMemory(
  request: WebRequest,
  file: FileAnswer,
  content: Buffer,
  range: ByteRange | undefined,
  extra: Extra,
): Promise<void> {
  announceRange(request, content.length, range);
  if (range) {
    const part = content.subarray(range.start, range.end + 1);
    writeAsItIs(request, part, extra);
  } else await writeBody(request, content, extra);
  file.sent?.();
}

async function answerFromStream(
  request: WebRequest,
  file: FileAnswer,
  range: ByteRange | undefined,
  encoding: Encoding | undefined,
  extra: Extra,
): Promise<void> {
  const { res } = request;
  const total = file.length ?? undefined;
  if (total !== undefined && !encoding) announceRange(request, total, range);
  const length = range ? range.end - range.start + 1 : total;
  const status = statusOf(request);
  const head = request.flatHeaders();
  if (extra.isStopping) setFlat(head, "connection", "close");
  if (encoding) setFlat(head, "content-encoding", encoding);
  if (request.config.compress === true) addVary(head);
  setFlat(
    head,
    "content-length",
    encoding || length === undefined ? undefined : String(length),
  );
  const begin = () => {
    writeHead(request, status, head);
    // a client that stops reading is cut, not waited for
    res.socket?.setTimeout(
      request.config.sendTimeout ?? WEB_DEFAULTS.sendTimeout,
    );
  };
  if (request.method === "HEAD" || length === 0) {
    file.fileStream?.destroy();
    writeHead(request, status, head);
    res.end();
    return;
  }
  try {
    if (encoding) await sendCompressed(request, file, encoding, begin);
    else {
      const reopened = range && file.path ? reopen(file, range) : undefined;
      await pump(reopened ?? streamOf(file), res, {
        skip: reopened ? 0 : (range?.start ?? 0),
        length,
        begin,
      });
    }
  } catch (error) {
    await answerBroken(request, error, extra);
  }
}

/** The file was there a moment ago, but cannot be read. */
async function answerBroken(
  request: WebRequest,
  error: unknown,
  extra: Extra,
): Promise<void> {
  const { message } = toError(error);
  log(`error reading file: ${message}`, "error");
  if (!canWrite(request.res)) return;
  request.responseHeaders = request.responseHeaders.filter(
    ([name]) =>
      !/^(?:etag|cache-control|content-|accept-ranges|last-m)/i.test(name),
  );
  await answerNotFound(request, fileError(message), extra);
}

function fileError(message: string): FileAnswer {
  return {
    error: `error reading file: ${withoutPath(message)}`,
    mime: undefined,
    length: null,
  };
}

/** `ENOENT: no such file or directory, open '/a/b'` up to its comma: the path is nobody's business. */
function withoutPath(message: string): string {
  const quote = message.indexOf("'");
  if (quote === -1) return message;
  const comma = message.lastIndexOf(", ", quote);
  return message.slice(0, comma === -1 ? quote : comma);
}

function sendCompressed(
  { res }: WebRequest,
  file: FileAnswer,
  encoding: Encoding,
  begin: () => void,
): Promise<void> {
  const source = streamOf(file);
  source.once("end", () => file.sent?.());
  return new Promise((resolve, reject) => {
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

function streamOf({ fileStream }: FileAnswer): Readable {
  return fileStream ?? Readable.from([]);
}

function reopen(file: FileAnswer, { start, end }: ByteRange): Readable {
  file.fileStream?.destroy();
  return fs.createReadStream(file.path!, { start, end });
}

function announceRange(
  request: WebRequest,
  total: number,
  range: ByteRange | undefined,
): void {
  const headers = request.responseHeaders;
  headers.push(["Accept-Ranges", "bytes"]);
  if (!range) return;
  request.responseHttpCode = 206;
  headers.push(["Content-Range", `bytes ${range.start}-${range.end}/${total}`]);
}

/** Parts of a compressed body mean nothing to a client that asks for parts of the file. */
function encodingFor({ req, config }: WebRequest): Encoding | undefined {
  if (config.compress !== true || req.headers.range !== undefined)
    return undefined;
  return chooseEncoding(req.headers["accept-encoding"]);
}

function rangeFor(
  request: WebRequest,
  { length }: FileAnswer,
  encoding: Encoding | undefined,
  validators: { lastModified: Date | undefined; etag: string | undefined },
): ByteRange | "unsatisfiable" | undefined {
  if (request.method !== "GET" || encoding || typeof length !== "number")
    return undefined;
  if (request.responseHttpCode !== 200) return undefined;
  return requestedRange(request.req.headers, length, validators);
}

/** Size and time of the file behind an answer; streams that are no files have none. */
async function identityOf(
  { path, length, lastModified, fileStream }: FileAnswer,
  isWanted: boolean,
): Promise<{ size: number; lastModified: Date } | undefined> {
  if (!isWanted) return undefined;
  if (path !== undefined && typeof length === "number" && lastModified)
    return { size: length, lastModified };
  const streamPath: unknown = (fileStream as { path?: unknown } | undefined)
    ?.path;
  if (typeof streamPath !== "string" && !Buffer.isBuffer(streamPath))
    return undefined;
  try {
    const { size, mtime } = await fs.promises.stat(streamPath);
    return { size, lastModified: mtime };
  } catch {
    return undefined; // it vanished: reading it will say so
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
