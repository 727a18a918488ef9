/** Bytes to a port and back, and what they must look like. */
import { once } from "node:events";
import * as net from "node:net";

/** Attackers come from addresses of their own, so that limits per address do not fall on honest clients. */
export const ATTACKER = "127.0.0.66";

/** No exchange takes longer: the server ends what does not go on, or the test does, in ms. */
const LIMIT_MS = 1_500;

export interface Exchange {
  localAddress?: string;
  /** Leave without waiting for the end. */
  isAborted?: boolean;
  /** Stop waiting when this was received. */
  until?: (received: Buffer) => boolean;
  /** Send the end of our side after the last chunk (default true). */
  halfClose?: boolean;
  limitMs?: number;
}

/** Send chunks, and collect what comes back until the server closes, or enough has come. */
export async function exchange(
  port: number,
  chunks: Iterable<Buffer | string>,
  {
    localAddress = ATTACKER,
    isAborted = false,
    until = () => false,
    halfClose = true,
    limitMs = LIMIT_MS,
  }: Exchange = {},
): Promise<Buffer> {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress });
  const received: Buffer[] = [];
  let isEnough = false;
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    socket.on("error", () => undefined); // being cut is an answer, too
    socket.on("data", (data) => {
      received.push(data);
      if (until(Buffer.concat(received))) {
        isEnough = true;
        socket.destroy();
      }
    });
  });
  const timer = setTimeout(() => socket.destroy(), limitMs);
  try {
    for (const chunk of chunks) {
      if (isEnough || socket.destroyed) break;
      if (!socket.write(chunk))
        await Promise.race([once(socket, "drain"), closed]).catch(
          () => undefined,
        );
    }
    if (isAborted) socket.destroy();
    else if (halfClose && !socket.destroyed) socket.end();
    await closed;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  return Buffer.concat(received);
}

export interface RawResponse {
  status: number;
  /** As they came, names in lower case. */
  headers: [name: string, value: string][];
  body: string;
}

/**
 * Take apart what an HTTP server sent, as strictly as a proxy in front would.
 * @param isHead the responses have no bodies
 * @throws Error for bytes that are not a sequence of whole responses
 */
export function parseResponses(bytes: Buffer, isHead = false): RawResponse[] {
  const text = bytes.toString("latin1");
  const responses: RawResponse[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end === -1) throw new Error(`an unfinished head: ${excerpt(text, at)}`);
    const [first = "", ...lines] = text.slice(at, end).split("\r\n");
    const status = /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/.exec(first)?.[1];
    if (!status) throw new Error(`no status line: ${excerpt(text, at)}`);
    const headers = lines.map(parseHeader);
    const { body, next } = bodyAt(
      text,
      end + 4,
      Number(status),
      headers,
      isHead,
    );
    responses.push({ status: Number(status), headers, body });
    at = next;
  }
  return responses.filter(({ status }) => status !== 100);
}

function parseHeader(line: string): [string, string] {
  const parts = /^([!#$%&'*+.^_`|~\w-]+): ?([\x20-\x7e\t\x80-\xff]*)$/.exec(
    line,
  );
  if (!parts)
    throw new Error(`no header: ${JSON.stringify(line.slice(0, 200))}`);
  return [parts[1].toLowerCase(), parts[2]];
}

function bodyAt(
  text: string,
  start: number,
  status: number,
  headers: [string, string][],
  isHead: boolean,
): { body: string; next: number } {
  const valuesOf = (name: string) =>
    headers.filter(([key]) => key === name).map(([, value]) => value);
  const lengths = valuesOf("content-length");
  const codings = valuesOf("transfer-encoding");
  if (lengths.length + codings.length > 1)
    throw new Error("more than one header says where the body ends");
  if (isHead || status === 304 || status === 204 || status < 200)
    return { body: "", next: start };
  if (lengths.length === 1) {
    const next = start + Number(lengths[0]);
    if (next > text.length) throw new Error("the body is cut");
    return { body: text.slice(start, next), next };
  }
  if (codings.length === 1) return chunkedAt(text, start);
  return { body: text.slice(start), next: text.length };
}

function chunkedAt(text: string, start: number) {
  let body = "";
  for (let at = start; ;) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = parseInt(text.slice(at, lineEnd), 16);
    if (lineEnd === -1 || Number.isNaN(size)) throw new Error("a broken chunk");
    if (size === 0) return { body, next: lineEnd + 4 };
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

function excerpt(text: string, at: number): string {
  return JSON.stringify(text.slice(at, at + 200));
}
