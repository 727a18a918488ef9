/** The answer to a request for a file, as one message: text as it is, bytes in base64. */
import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";

export interface FileMessage {
  error?: unknown;
  content: string | null;
  /** Only when the content is not plain text. */
  encoding?: "base64";
  mime: string;
  length: number;
  lastModified?: Date;
}

export interface FileFacts {
  mime: string;
  length: number;
  lastModified?: Date;
}

export interface FileSource {
  error?: unknown;
  fileStream?: Readable;
}

export interface FileWish {
  /** `"base64"` when the client wants bytes, whatever they are. */
  encoding: unknown;
  /** Files that are longer, as they come or as a message, are refused; 0: none is. */
  maxBytes: number;
  /** Asked after each piece; once it says no, the file is given up. */
  isWanted: () => boolean;
}

/** A byte in JSON takes at most so many: control characters are `\u001f`. */
const MAX_GROWTH = 6;

/** The message for a file, or for the reason why there is none. */
export async function answerOf(
  { error, fileStream }: FileSource,
  facts: FileFacts,
  wish: FileWish,
): Promise<FileMessage> {
  if (error || !fileStream) return { error, content: null, ...facts };
  const isTooLong = () => wish.maxBytes > 0 && facts.length > wish.maxBytes;
  if (isTooLong()) fileStream.destroy();
  const content = isTooLong() ? undefined : await collect(fileStream, wish);
  if (!content)
    return { error: tooLong(wish.maxBytes), content: null, ...facts };
  const answer = { ...asText(content, wish.encoding), ...facts };
  return isTooLongAsMessage(answer, content.length, wish.maxBytes)
    ? { error: tooLong(wish.maxBytes), content: null, ...facts }
    : answer;
}

function tooLong(maxBytes: number): string {
  return `the file is longer than ${maxBytes} bytes, get it over HTTP`;
}

function isTooLongAsMessage(
  { content }: { content: string },
  bytes: number,
  maxBytes: number,
): boolean {
  if (maxBytes <= 0 || bytes * MAX_GROWTH <= maxBytes) return false;
  return Buffer.byteLength(JSON.stringify(content)) > maxBytes;
}

function asText(content: Buffer, encoding: unknown) {
  if (encoding !== "base64" && isUtf8(content))
    return { content: content.toString() };
  return { content: content.toString("base64"), encoding: "base64" as const };
}

/** @returns undefined for a stream that is not wanted any more, or too long */
async function collect(
  stream: Readable,
  { maxBytes, isWanted }: FileWish,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.from(chunk as Buffer | string);
    chunks.push(piece);
    bytes += piece.length;
    if (!isWanted() || (maxBytes > 0 && bytes > maxBytes)) return undefined;
  }
  return Buffer.concat(chunks, bytes);
}
