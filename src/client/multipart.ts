/** Params with files as a form. */
import { ClientError } from "./call";

/** A file that is sent as a stream of unknown length. */
export interface StreamedFile {
  stream: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;
  /** The name that the server sees. */
  name: string;
  /** Its media type (default `application/octet-stream`). */
  type?: string;
}

export interface Body {
  content: FormData | ReadableStream<Uint8Array> | string;
  headers?: Record<string, string>;
  /** Of a stream, which can be sent only once. */
  duplex?: "half";
  /** The error of its stream, because fetch may report only its text. */
  failure?: ClientError;
}

type Entry = [key: string, value: Blob | StreamedFile | string];

/** Whether params hold files, themselves or in lists. */
export function hasFiles(params: Record<string, unknown>): boolean {
  return Object.values(params).some((value) =>
    Array.isArray(value) ? value.some(isFile) : isFile(value),
  );
}

/** Lists of files become fields of one name; other values are as in a query. */
export function multipart(params: Record<string, unknown>): Body {
  const entries = Object.entries(params).flatMap(([key, value]): Entry[] => {
    const values = Array.isArray(value) ? value : [value];
    if (!values.some(isFile)) return pairsOf([key, value]);
    return values.map((item) => [key, isFile(item) ? item : String(item)]);
  });
  if (entries.some(([, value]) => isStreamed(value))) return streamed(entries);
  const form = new FormData();
  for (const [key, value] of entries) form.append(key, value);
  return { content: form };
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
function streamed(entries: Entry[]): Body {
  const boundary = `----actionhero-${Math.random().toString(36).slice(2)}${Date.now()}`;
  const parts = partsOf(entries, boundary);
  const failed = (cause: unknown): never => {
    const text = "the stream of a file failed while it was sent";
    body.failure = new ClientError("CONNECTION_LOST", text, { cause });
    throw body.failure;
  };
  const body: Body = {
    content: new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const part = await parts.next().catch(failed);
        if (part.done) controller.close();
        else controller.enqueue(part.value);
      },
      cancel: async () => void (await parts.return(undefined)),
    }),
    headers: { "Content-Type": `multipart/form-data; boundary=${boundary}` },
    duplex: "half",
  };
  return body;
}

async function* partsOf(
  entries: Entry[],
  boundary: string,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const [key, value] of entries) {
    let head = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(key)}"`;
    if (typeof value !== "string") {
      const { name = "blob", type } = value as StreamedFile;
      head += `; filename="${escapeName(name)}"\r\nContent-Type: ${(type || "application/octet-stream").replace(/[\r\n]/g, "")}`;
    }
    yield encoder.encode(`${head}\r\n\r\n`);
    if (typeof value === "string") yield encoder.encode(value);
    else yield* chunksOf(isStreamed(value) ? value.stream : value.stream());
    yield encoder.encode("\r\n");
  }
  yield encoder.encode(`--${boundary}--\r\n`);
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
