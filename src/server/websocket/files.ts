/** The response to a request for a file, as one message: text unchanged, bytes in base64. */
import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";

export interface FileMessage {
  error?: unknown;
  content: string | null;
  /** Set only if the content is not plain text. */
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
  /** `"base64"` if the client always wants bytes. */
  encoding: unknown;
  /** Files that are longer, as a file or as a message, are refused; 0: no limit. */
  maxBytes: number;
  /** Called after each piece; when it returns false, the file is abandoned. */
  isWanted: () => boolean;
}

/** The maximum length of a byte in JSON: control characters are `\u001f`. */
const MAX_GROWTH = 6;

/** The message for a file, or for an error. */
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

/** @returns undefined for a stream that is no longer wanted, or too long */
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
