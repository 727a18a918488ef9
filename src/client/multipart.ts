/** Params with files as a form. */
import { ClientError, jsonOf } from "./call";

/** A file that is sent as a stream of unknown length. */
export interface StreamedFile {
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;
  /** The name that the server sees. */
  name: string;
  /** Its media type (default `application/octet-stream`). */
  type?: string;
}

export interface Body {
  content: Blob | ReadableStream<Uint8Array> | string;
  headers?: Record<string, string>;
  /** Set for a stream, which can be sent only once. */
  duplex?: "half";
  /** The error of its stream, because fetch may report only its text. */
  failure?: ClientError;
}

type Entry = [key: string, value: Blob | StreamedFile | string | JsonText];

/** A field of the type `application/json`, which servers of version 29 take for a text. */
interface JsonText {
  json: string;
}

/** Whether params hold files, themselves or in lists. */
export function hasFiles(params: Record<string, unknown>): boolean {
  return Object.values(params).some((value) =>
    Array.isArray(value) ? value.some(isFile) : isFile(value),
  );
}

/**
 * Lists of files become fields of one name.
 * @throws {ClientError} UNSUPPORTED for values that JSON cannot represent
 */
export function multipart(name: string, params: Record<string, unknown>): Body {
  const entries = Object.entries(params).flatMap((param) =>
    entriesOf(name, param),
  );
  // FormData has no fields with a type, and changes line ends
  const boundary = `----actionhero-${Math.random().toString(36).slice(2)}${Date.now()}`;
  const body: Body = entries.some(([, value]) => isStreamed(value))
    ? streamed(partsOf(entries, boundary))
    : {
        content: new Blob([...partsOf(entries, boundary)] as (string | Blob)[]),
      };
  body.headers = {
    "Content-Type": `multipart/form-data; boundary=${boundary}`,
  };
  return body;
}

/** Objects and lists are as in a query, which servers read for every action, unless a query would change them. */
function entriesOf(
  action: string,
  [key, value]: [name: string, value: unknown],
): Entry[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.some(isFile))
    return values.map((item) => [key, isFile(item) ? item : String(item)]);
  const isNested = typeof value === "object" && value !== null;
  if (isNested && isKeptKey(key) && isQueryable(value, 1))
    return pairsOf([key, value]);
  if (typeof value === "string") return [[key, value]];
  const json = jsonOf(action, value) as string | undefined;
  return json === undefined ? [] : [[key, { json }]];
}

function isFile(value: unknown): value is Blob | StreamedFile {
  return (
    (typeof Blob !== "undefined" && value instanceof Blob) || isStreamed(value)
  );
}

function isStreamed(value: unknown): value is StreamedFile {
  const { stream, name } = Object(value) as Partial<StreamedFile>;
  return typeof stream === "object" && typeof name === "string";
}

/** Browsers accept a stream as a body only over HTTP/2. */
function streamed(parts: Iterable<Part>): Body {
  const chunks = bytesOf(parts);
  const failed = (cause: unknown): never => {
    const text = "the stream of a file failed while it was sent";
    body.failure = new ClientError("CONNECTION_LOST", text, { cause });
    throw body.failure;
  };
  const body: Body = {
    content: new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const chunk = await chunks.next().catch(failed);
        if (chunk.done) controller.close();
        else controller.enqueue(chunk.value);
      },
      cancel: async () => void (await chunks.return(undefined)),
    }),
    duplex: "half",
  };
  return body;
}

type Part = string | Blob | StreamedFile;

function* partsOf(entries: Entry[], boundary: string): Generator<Part> {
  for (const [key, value] of entries) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(key)}"`;
    if (typeof value === "string") yield `${head}\r\n\r\n${value}\r\n`;
    else if ("json" in value)
      yield `${head}\r\nContent-Type: application/json\r\n\r\n${value.json}\r\n`;
    else {
      const { name = "blob", type } = value as StreamedFile;
      const media = (type || "application/octet-stream").replace(/[\r\n]/g, "");
      yield `${head}; filename="${escapeName(name)}"\r\nContent-Type: ${media}\r\n\r\n`;
      yield value;
      yield "\r\n";
    }
  }
  yield `--${boundary}--\r\n`;
}

async function* bytesOf(parts: Iterable<Part>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const part of parts)
    if (typeof part === "string") yield encoder.encode(part);
    else yield* chunksOf(isStreamed(part) ? part.stream : part.stream());
}

/** Not every browser supports iterating over streams. */
async function* chunksOf(
  stream: StreamedFile["stream"],
): AsyncGenerator<Uint8Array> {
  if (!("getReader" in stream)) {
    yield* stream;
    return;
  }
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** As the HTML standard has it for names in a form. */
function escapeName(name: string): string {
  return name.replace(/\r/g, "%0D").replace(/\n/g, "%0A").replace(/"/g, "%22");
}

// --- Params as the fields of a query or of a form.

/** Nested values in brackets: `list[]=1`, `address[city]=Rome`; dates as ISO texts, null as an empty text. */
export function pairsOf([key, value]: [string, unknown]): [string, string][] {
  if (value === undefined) return [];
  if (value instanceof Date) return [[key, value.toISOString()]];
  if (value === null) return [[key, ""]];
  if (typeof value !== "object") return [[key, `${value as string | number}`]];
  return Object.entries(value).flatMap(([inner, item]) => {
    const isPlain = typeof item !== "object" || item === null;
    const name = Array.isArray(value) && isPlain ? "" : inner;
    return pairsOf([`${key}[${name}]`, item]);
  });
}

/** Limits of parsers of queries, which by default change deeper levels and longer lists of objects. */
const QUERY_DEPTH = 5;
const QUERY_ITEMS = 20;

/**
 * Whether a query can hold a value: neither files nor null, `[]` and `{}`, no large whole number, and no key that the parser takes for a bracket,
 * an index or a member of objects.
 */
export function isQueryable(value: unknown, depth: number): boolean {
  if (value === null || depth > QUERY_DEPTH) return false;
  if (typeof value === "number") return isExactAsText(value);
  if (typeof value !== "object" || value instanceof Date) return true;
  const inner = Object.entries(value).filter(([, one]) => one !== undefined);
  if (inner.length === 0) return depth === 0;
  const areKeysKept = Array.isArray(value)
    ? inner.length <= QUERY_ITEMS
    : inner.every(([key]) => isKeptKey(key));
  return areKeysKept && inner.every(([, one]) => isQueryable(one, depth + 1));
}

/** Servers do not take a whole number beyond these for a number, since its text may have lost digits; JSON has no NaN. */
function isExactAsText(value: number): boolean {
  return Number.isInteger(value)
    ? Number.isSafeInteger(value)
    : Number.isFinite(value);
}

function isKeptKey(key: string): boolean {
  return /^(?!\d+$)[^[\]]+$/.test(key) && !(key in Object.prototype);
}
