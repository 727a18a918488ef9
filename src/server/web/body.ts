/** Reads and parses the body of a request, by its content type. */
import * as querystring from "node:querystring";
import type { WebSettings } from "../../config/settings";
import type { UploadedFile } from "../../input/file";
import { JsonLimitError, limitText, parseJsonRequest } from "../jsonRequest";
import { BodyError, RequestAborted, isWaitingToSend } from "./bodyRefusal";
import { chunkCounterOf, joined, StoredChunks } from "./chunks";
import { decoderFor, decodeText, parseContentType } from "./contentType";
import {
  type FileRules,
  type Form,
  MULTIPART_OVERHEAD,
  receiveFile,
  receiveMultipart,
  SINGLE_FILE,
} from "./multipart";
import {
  Brackets,
  documentBytes,
  messageBytes,
  pairBytes,
  parsedDocumentBytes,
  SHORT_DOCUMENT_LENGTH,
} from "../estimates";
import {
  countPairs,
  nestNames,
  reserveBrackets,
  type Query,
  type QueryConfig,
} from "./params";
import { inflate, inflating, requestEncoding } from "./inflate";
import { TemporaryFiles, type UploadDisk } from "./uploadDisk";
import type { WebRequest } from "./webRequest";

export interface ParsedBody {
  /** The fields of a form, or the value of a JSON document. */
  body: any;
  files: { [field: string]: UploadedFile | UploadedFile[] } | undefined;
}

/** The requirements for files of a body. */
interface UploadOptions {
  disk: UploadDisk;
  /** Called only if there may be files. */
  rules: () => FileRules;
}

/** A limit on bytes, and the name of its setting for clients. */
interface Limit {
  bytes: number;
  setting: string;
}

const NO_BYTES = Buffer.alloc(0);

/** Awaiting it lets node deliver the body bytes that arrived with the headers. */
const PARSED = Promise.resolve();

/** Whether there is a body that v29 would parse. */
export function hasBody({ method, req }: WebRequest): boolean {
  return (
    method !== "GET" &&
    method !== "HEAD" &&
    method !== "TRACE" &&
    req.headers["content-type"] !== undefined
  );
}

/**
 * Parse the body; `rawConnection.params.rawBody` gets its bytes as they came when `config.web.saveRawBody` is on.
 * @throws BodyError when it is malformed or exceeds a limit, RequestAborted when the client disconnects,
 * synchronously or later
 */
export function readBody(
  request: WebRequest,
  options: UploadOptions,
): Promise<ParsedBody> {
  const type = parseContentType(request.req.headers["content-type"]!);
  request.params.rawBody = NO_BYTES;
  switch (type.kind) {
    case "json":
      return readJson(request, type.charset);
    case "form":
      return readForm(request, type.charset);
    case "multipart":
      return readMultipart(request, options);
    case "file":
      return readSingleFile(request, options);
    case "other":
      return readUnknown(request);
  }
}

function readJson(
  request: WebRequest,
  charset: string | undefined,
): Promise<ParsedBody> {
  const limit = jsonLimit(request.config);
  return readWhole(request, limit, (bytes) => {
    const spare = spareBytes(request, bytes.length);
    if (!charset && bytes.length <= SHORT_DOCUMENT_LENGTH) {
      const body = parseDocument(decodeText(bytes, undefined));
      request.reserve(parsedDocumentBytes(bytes, body) - spare);
      return { body, files: undefined };
    }
    // signs of other charsets are found in the text only
    const decoded = charset && decodeText(bytes, charset);
    const parsed = decoded ? messageBytes(decoded) : documentBytes(bytes);
    request.reserve(parsed - spare);
    const text = decoded ?? decodeText(bytes, undefined);
    return { body: parseDocument(text), files: undefined };
  });
}

/** @throws BodyError */
function parseDocument(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return parseJsonRequest(text);
  } catch (error) {
    throw error instanceof JsonLimitError
      ? new BodyError(400, limitText(error))
      : BodyError.malformedJson(error);
  }
}

function readForm(
  request: WebRequest,
  charset: string | undefined,
): Promise<ParsedBody> {
  const { config } = request;
  return readWhole(request, fieldsLimit(config), (bytes) => {
    const form = decodeForm(bytes, charset, config.maxParams);
    const taken = pairBytes(form.pairs, form.text);
    request.reserve(taken - spareBytes(request, bytes.length));
    const fields = parseForm(form);
    noteSent(request, fields, NO_NAMES);
    return { body: fieldsOf(fields, request), files: undefined };
  });
}

/** Received bytes that are not used any more when a body of so many has been parsed. */
function spareBytes({ config }: WebRequest, length: number): number {
  return config.saveRawBody ? 0 : length;
}

/** Neither params nor files: its bytes are only stored for `rawBody`. */
async function readUnknown(request: WebRequest): Promise<ParsedBody> {
  const limit = fieldsLimit(request.config);
  askForBody(request, limit);
  await collect(request, limit, keeper(request, limit.bytes));
  return { body: {}, files: undefined };
}

function readMultipart(
  request: WebRequest,
  upload: UploadOptions,
): Promise<ParsedBody> {
  return readFiles(request, upload, (receiving, limit) =>
    receiveMultipart(request.req, {
      ...receiving,
      maxBytes: limit.bytes,
      tooLarge: () => tooLarge(limit),
    }),
  );
}

function readSingleFile(
  request: WebRequest,
  upload: UploadOptions,
): Promise<ParsedBody> {
  return readFiles(request, upload, async (receiving) => {
    const file = await receiveFile(request.req, receiving);
    const files = new Map([[SINGLE_FILE, [file]]]);
    return { fields: new Map(), jsonFields: NO_NAMES, files };
  });
}

/** Read a body with files: `receive` follows it to its end. */
async function readFiles(
  request: WebRequest,
  upload: UploadOptions,
  receive: (
    receiving: ReturnType<typeof prepareFiles>,
    limit: Limit,
  ) => Promise<Form>,
): Promise<ParsedBody> {
  const limit = formLimit(request.config);
  const receiving = prepareFiles(request, upload, limit);
  try {
    const form = await receive(receiving, limit);
    return finishForm(request, form, receiving.rules);
  } finally {
    receiving.end();
  }
}

function prepareFiles(
  request: WebRequest,
  { disk, rules }: UploadOptions,
  limit: Limit,
) {
  const { req, config } = request;
  const encoding = requestEncoding(req);
  const fileRules = rules();
  askForBody(request, limit);
  const keep = keeper(request, limit.bytes);
  if (keep) req.on("data", keep);
  const source = encoding ? inflating(request, encoding) : joined(req);
  const temporaryFiles = (request.temporaryFiles ??= new TemporaryFiles(
    disk,
    request,
  ));
  request.share.expectMore(() => source.destroy(BodyError.overloaded()));
  temporaryFiles.expectMore(() => source.destroy(BodyError.noRoom()));
  return {
    hold: (bytes: number) => request.hold(bytes),
    written: (bytes: number) => {
      // with `saveRawBody`, the bytes of files also stay in memory
      if (!keep) request.share.give(bytes);
    },
    options: config.formOptions,
    maxParams: config.maxParams,
    fieldOf: config.formBrackets ? fieldNameOf : asItIs,
    rules: fileRules,
    temporaryFiles,
    source,
    end: () => {
      source.destroy();
      request.share.complete();
      temporaryFiles.complete();
    },
  };
}

function asItIs(name: string): string {
  return name;
}

function finishForm(
  request: WebRequest,
  { fields, jsonFields, files }: Form,
  rules: FileRules,
): ParsedBody {
  const { config } = request;
  for (const name of jsonFields)
    if (rules.ruleOf(name)?.isList && isEmptyList(fields.get(name))) {
      fields.delete(name);
      if (!files.has(name)) files.set(name, []);
    }
  noteSent(request, fields, jsonFields);
  const isList = (name: string) =>
    rules.ruleOf(name)?.isList ?? config.formOptions.multiples;
  return {
    body: fieldsOf(fields, request),
    files: reduceLists(files, isList),
  };
}

/** How a client sends no files for an input that takes several. */
function isEmptyList(texts: readonly string[] = []): boolean {
  return texts.length === 1 && texts[0] === "[]";
}

const NO_NAMES: ReadonlySet<string> = new Set();

/** Keep what params do not: the values of repeated names, and which ones were JSON, or may be an object. */
function noteSent(
  request: WebRequest,
  fields: Lists<string>,
  jsonFields: ReadonlySet<string>,
): void {
  for (const [name, texts] of fields) {
    const areJson = jsonFields.has(name);
    if (texts.length === 1 && !areJson && !texts[0]!.startsWith("{")) continue;
    request.sentFields ??= new Map();
    request.sentFields.set(name, { texts, areJson });
  }
}

/** @throws BodyError */
function fieldsOf(
  fields: Lists<string>,
  request: WebRequest,
): Record<string, unknown> {
  const { config } = request;
  const isList = config.formOptions.multiples;
  if (!config.formBrackets) return reduceLists(fields, () => isList);
  const brackets = new Brackets(config);
  let length = 0;
  for (const [name, values] of fields)
    for (const value of values) {
      brackets.add(name, value);
      length += name.length + value.length;
    }
  reserveBrackets(request, brackets, length);
  return nestFields(fields, isList, config);
}

/** Keep every value of a name, always as a list; otherwise the last value is used. */
function reduceLists<T>(
  lists: Lists<T>,
  isList: (name: string) => boolean,
): Record<string, T | T[]> {
  const reduced: Record<string, T | T[]> = {};
  for (const [name, list] of lists) {
    if (name !== "__proto__")
      reduced[name] = isList(name) ? list : list.at(-1)!;
  }
  return reduced;
}

/**
 * A body that is announced as too large is not read; a client that sent `Expect: 100-continue` gets a `100 Continue`.
 * @throws BodyError
 */
function askForBody(request: WebRequest, limit: Limit): void {
  const { req, res } = request;
  if (Number(req.headers["content-length"]) > limit.bytes)
    throw tooLarge(limit);
  if (!isWaitingToSend(request)) return;
  request.saidContinue = true;
  res.writeContinue();
}

/**
 * Read the whole body into memory, inflated; its received bytes are stored in `rawBody` if configured. One promise for a
 * body that came with its headers, because each one on the hot path costs 1 % of a request.
 * @param use is called with the bytes, as soon as they are there
 */
function readWhole(
  request: WebRequest,
  limit: Limit,
  use: (bytes: Buffer) => ParsedBody,
): Promise<ParsedBody> {
  const { req } = request;
  const encoding = requestEncoding(req);
  const announced = Number(req.headers["content-length"] ?? 0);
  if (announced <= limit.bytes && !request.share.mayTake(announced))
    throw BodyError.overloaded();
  askForBody(request, limit);
  const take = (received: Buffer) => {
    const { config, params } = request;
    if (config.saveRawBody) params.rawBody = received;
    if (!encoding) return use(received);
    const inflated = {
      clientAddress: request.clientAddress,
      limit: limit.bytes,
      tooLarge: () => tooLarge(limit),
      hold: (length: number) => request.hold(length),
    };
    return inflate(received, encoding, inflated).then(use);
  };
  return PARSED.then(() => {
    const arrived = takeArrived(request, limit);
    return arrived ? take(arrived) : collectWhole(request, limit).then(take);
  });
}

/**
 * A body that came with its headers, as most do: without a listener, an event or a copy. On a socket of the system node
 * runs promises between the last bytes of a body and its end, so the length counts, too.
 * @returns undefined for one that is still to come
 * @throws BodyError, RequestAborted
 */
function takeArrived(request: WebRequest, limit: Limit): Buffer | undefined {
  const { req } = request;
  const { complete } = req;
  if (!complete && req.destroyed) throw new RequestAborted(); // its `close` event may already have been emitted
  if (req.readableFlowing !== null) return undefined; // another listener reads the body
  if (!complete && String(req.readableLength) !== req.headers["content-length"])
    return undefined;
  const bytes = (req.read() as Buffer | null) ?? NO_BYTES;
  if (!complete) req.resume(); // for its events `end` and `close`
  if (bytes.length > limit.bytes) throw tooLarge(limit);
  request.reserve(bytes.length);
  return bytes;
}

function collectWhole(request: WebRequest, limit: Limit): Promise<Buffer> {
  const chunks = new StoredChunks();
  const keep = (chunk: Buffer) => chunks.add(chunk);
  return collect(request, limit, keep).then(() => chunks.take());
}

/** Follow a body to its end. */
function collect(
  request: WebRequest,
  limit: Limit,
  keep: ((chunk: Buffer) => void) | undefined,
): Promise<void> {
  const { req, share } = request;
  return new Promise((resolve, reject) => {
    let length = 0;
    const count = chunkCounterOf(req);
    const fail = (error: Error) => {
      req.off("data", onData);
      req.pause();
      share.complete();
      reject(error);
    };
    share.expectMore(() => fail(BodyError.overloaded()));
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit.bytes) return fail(tooLarge(limit));
      const refusal =
        count(chunk.length) ?? (keep && request.hold(chunk.length));
      if (refusal) fail(refusal);
      else keep?.(chunk);
    };
    req.on("data", onData);
    req.on("end", () => {
      share.complete();
      resolve();
    });
    req.on("close", () => {
      if (!req.complete) fail(new RequestAborted());
    });
    req.on("error", () => fail(new RequestAborted()));
  });
}

/** Collects the received bytes of a body for `rawBody`; undefined if not configured. */
function keeper(
  { config, params, req }: WebRequest,
  maxBytes: number,
): ((chunk: Buffer) => void) | undefined {
  if (!config.saveRawBody) return undefined;
  const chunks = new StoredChunks();
  let left = maxBytes;
  req.once("end", () => {
    params.rawBody = chunks.take();
  });
  return (chunk) => {
    left -= chunk.length;
    if (left >= 0) chunks.add(chunk); // otherwise the request is refused, and further bytes are discarded
  };
}

function tooLarge({ setting, bytes }: Limit): BodyError {
  return BodyError.tooLarge(setting, bytes);
}

function jsonLimit(config: WebSettings): Limit {
  const { maxJsonSize } = config;
  return maxJsonSize !== undefined
    ? { bytes: maxJsonSize, setting: "web.maxJsonSize" }
    : fieldsLimit(config);
}

function fieldsLimit({ formOptions }: WebSettings): Limit {
  return {
    bytes: formOptions.maxFieldsSize,
    setting: "web.formOptions.maxFieldsSize",
  };
}

/** The limit of a whole body with files, which includes bytes between parts and parts that are not files. */
function formLimit(config: WebSettings): Limit {
  const files = config.formOptions.maxTotalFileSize;
  return {
    bytes: fieldsLimit(config).bytes + files + MULTIPART_OVERHEAD,
    setting: "the limit for fields and files",
  };
}

// --- Parses the fields of forms: pairs of names and values, and brackets in names.

/** Every value of every name, in order. */
type Lists<T> = Iterable<[name: string, values: T[]]>;

/** The text of an `application/x-www-form-urlencoded` body, before it is parsed. */
interface FormText {
  text: string;
  /** The number of `name=value`. */
  pairs: number;
  /** Resolves escapes, in charsets other than UTF-8. */
  decode: ((text: string) => string) | undefined;
}

/** @throws BodyError for a form of too many pairs */
export function decodeForm(
  bytes: Buffer,
  charset: string | undefined,
  maxParams: number,
): FormText {
  const decode = charset === undefined ? undefined : percentDecoder(charset);
  const spaced = plusToSpace(bytes);
  // for other charsets, each byte is a character until the escapes are decoded
  const text = decode
    ? spaced.toString("latin1")
    : decodeText(spaced, undefined);
  const pairs = countPairs(text);
  if (pairs > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "params");
  return { text, pairs, decode };
}

/** The pairs of a form. */
export function parseForm({ text, decode }: FormText): Lists<string> {
  const parsed = querystring.parse(text, "&", "=", {
    maxKeys: 0,
    decodeURIComponent: decode,
  });
  return Object.entries(parsed).map(([name, value]): [string, string[]] => [
    name,
    Array.isArray(value) ? value : [value ?? ""],
  ]);
}

/** Escapes of a form are also bytes in the form's charset. */
function percentDecoder(charset: string): (text: string) => string {
  const decoder = decoderFor(charset);
  return (text) => decoder.decode(unescape(Buffer.from(text, "latin1")));
}

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;

/** In bytes, since a million small replacements in a string cost a heap of memory. */
function plusToSpace(bytes: Buffer): Buffer {
  let at = bytes.indexOf(PLUS);
  if (at === -1) return bytes;
  const spaced = Buffer.from(bytes);
  for (; at < spaced.length; at++) if (spaced[at] === PLUS) spaced[at] = SPACE;
  return spaced;
}

/** Resolve the escapes in place. */
function unescape(bytes: Buffer): Buffer {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const high = bytes[at] === PERCENT ? hexDigit(bytes[at + 1]) : -1;
    const low = high < 0 ? -1 : hexDigit(bytes[at + 2]);
    if (low < 0) bytes[length++] = bytes[at]!;
    else {
      bytes[length++] = high * 16 + low;
      at += 2;
    }
  }
  return bytes.subarray(0, length);
}

/** @returns -1 if it is not a hexadecimal digit */
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20; // in lower case
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/**
 * Objects and lists of fields, as a query with the same names has; a plain name that is repeated is a list only if
 * `isList` is true, otherwise its last value counts.
 */
export function nestFields(
  fields: Lists<string>,
  isList: boolean,
  config: QueryConfig,
): Query {
  const named: Record<string, string | string[]> = {};
  for (const [name, values] of fields) {
    const keepsAll = name.includes("[") ? values.length > 1 : isList;
    if (name !== "__proto__") named[name] = keepsAll ? values : values.at(-1)!;
  }
  return nestNames(named, config);
}

/** The name of the field whose list `name[]` is. */
function fieldNameOf(name: string): string {
  return name.endsWith("[]") ? name.slice(0, -2) : name;
}
