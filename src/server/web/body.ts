/** Reads and parses the body of a request, by its content type. */
import type { IncomingMessage } from "node:http";
import * as querystring from "node:querystring";
import { BodyError, RequestAborted } from "./bodyError";
import { parseJson } from "./jsonBody";
import { receiveFile, receiveMultipart, type Form } from "./multipart";
import { countPairs } from "./query";
import type { UploadedFile } from "./uploads";
import { WEB_DEFAULTS, type FormOptions, type WebConfig } from "./webConfig";
import type { WebRequest } from "./webRequest";

export interface ParsedBody {
  /** The fields of a form, or whatever a JSON document holds. */
  body: any;
  files: { [field: string]: UploadedFile | UploadedFile[] } | undefined;
}

/** Bytes that a multipart body may have beside its fields and files: boundaries and part headers. */
const MULTIPART_OVERHEAD = 1024 * 1024;
const FORM_LIMIT = "the limit for fields and files";

/** How much of a body that is not wanted is read, so that the client gets to reading the answer. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
const MAX_DISCARD_MS = 5000;

const NO_OPTIONS: FormOptions = {};
const NO_BYTES = Buffer.alloc(0);

/** Whether there is a body that v29 would parse. */
export function hasBody({ method, req }: WebRequest): boolean {
  return (
    method !== "GET" &&
    method !== "HEAD" &&
    req.headers["content-type"] !== undefined
  );
}

/**
 * Parse the body; `rawConnection.params.rawBody` gets its bytes when `config.web.saveRawBody` is on.
 * @throws BodyError when it is malformed or exceeds a limit, RequestAborted when the client left, at once or later
 */
export function readBody(request: WebRequest): Promise<ParsedBody> {
  const { req, config } = request;
  const contentType = req.headers["content-type"]!.toLowerCase();
  if (contentType.startsWith("multipart/form-data"))
    return readMultipart(request);
  if (contentType.includes("octet-stream")) return readSingleFile(request);

  const parse = parserFor(contentType);
  const limit = maxFieldsSize(config);
  askForBody(request, limit, "web.formOptions.maxFieldsSize");
  if (!parse && config.saveRawBody !== true) {
    req.resume();
    return Promise.resolve({ body: {}, files: undefined });
  }
  return collect(req, limit).then((raw) => {
    if (config.saveRawBody === true) request.params.rawBody = raw;
    return { body: parse ? parse(raw, config) : {}, files: undefined };
  });
}

function parserFor(
  contentType: string,
): ((raw: Buffer, config: WebConfig) => unknown) | undefined {
  if (contentType.includes("urlencoded")) return parseForm;
  return contentType.includes("json") ? parseDocument : undefined;
}

function parseDocument(raw: Buffer, config: WebConfig): unknown {
  return parseJson(raw, {
    maxDepth: config.maxBodyDepth ?? WEB_DEFAULTS.maxBodyDepth,
    maxKeys: config.maxParams ?? WEB_DEFAULTS.maxParams,
  });
}

/**
 * What announces itself as too large is not even begun; a client that asked beforehand is told to send.
 * @throws BodyError
 */
function askForBody(request: WebRequest, limit: number, setting: string): void {
  const { req, res } = request;
  if (Number(req.headers["content-length"]) > limit)
    throw BodyError.tooLarge(setting, limit);
  if (!isWaitingToSend(request)) return;
  request.saidContinue = true;
  res.writeContinue();
}

/** Whether the client holds its body back until it is told to send it. */
function isWaitingToSend({ req, saidContinue }: WebRequest): boolean {
  return !saidContinue && req.headers.expect?.toLowerCase() === "100-continue";
}

/** Read on without keeping anything: clients look for an answer when they have sent all of their request. */
export function discardBody(request: WebRequest): Promise<void> {
  const { req } = request;
  if (req.complete || req.destroyed || isWaitingToSend(request))
    return Promise.resolve();
  return new Promise((resolve) => {
    let bytes = 0;
    const done = () => {
      clearTimeout(timer);
      req.off("data", count);
      req.off("end", done);
      req.off("close", done);
      resolve();
    };
    const count = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_DISCARDED_BYTES) done();
    };
    const timer = setTimeout(done, MAX_DISCARD_MS);
    req.on("data", count);
    req.once("end", done);
    req.once("close", done);
    req.resume();
  });
}

/** The whole body in memory. */
function collect(req: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let first: Buffer | undefined;
    let more: Buffer[] | undefined;
    let length = 0;
    const fail = (error: Error) => {
      req.off("data", onData);
      req.pause();
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit)
        return fail(BodyError.tooLarge("web.formOptions.maxFieldsSize", limit));
      if (!first) first = chunk;
      else (more ??= [first]).push(chunk);
    };
    req.on("data", onData);
    req.on("end", () =>
      resolve(more ? Buffer.concat(more, length) : (first ?? NO_BYTES)),
    );
    req.on("close", () => {
      if (!req.complete) fail(new RequestAborted());
    });
    req.on("error", () => fail(new RequestAborted()));
  });
}

function maxFieldsSize(config: WebConfig): number {
  return config.formOptions?.maxFieldsSize ?? WEB_DEFAULTS.maxFieldsSize;
}

function parseForm(raw: Buffer, config: WebConfig): Record<string, unknown> {
  const text = raw.toString("utf8");
  const maxParams = config.maxParams ?? WEB_DEFAULTS.maxParams;
  if (countPairs(text) > maxParams)
    throw BodyError.tooComplex("web.maxParams", maxParams, "params");
  const parsed = querystring.parse(text, "&", "=", { maxKeys: 0 });
  const lists = Object.entries(parsed).map(
    ([name, value]): [string, string[]] => [
      name,
      Array.isArray(value) ? value : [value ?? ""],
    ],
  );
  return reduceLists(lists, config);
}

async function readMultipart(request: WebRequest): Promise<ParsedBody> {
  askForFiles(request);
  const saved = request.config.saveRawBody === true ? [] : undefined;
  if (saved) keepBytes(request, saved);
  const limit = maxFormBytes(request.config);
  const form = await receiveMultipart(request.req, {
    ...intakeOf(request),
    maxBytes: limit,
    tooLarge: () => BodyError.tooLarge(FORM_LIMIT, limit),
  });
  return finishForm(request, form, saved);
}

async function readSingleFile(request: WebRequest): Promise<ParsedBody> {
  askForFiles(request);
  const saved = request.config.saveRawBody === true ? [] : undefined;
  if (saved) keepBytes(request, saved);
  const file = await receiveFile(request.req, intakeOf(request));
  const form: Form = { fields: new Map(), files: new Map([["file", [file]]]) };
  return finishForm(request, form, saved);
}

function askForFiles(request: WebRequest): void {
  askForBody(request, maxFormBytes(request.config), FORM_LIMIT);
}

/** A whole body with files: also what lies between its parts, or in parts that are no files, has an end. */
function maxFormBytes(config: WebConfig): number {
  const { formOptions } = config;
  const files =
    formOptions?.maxTotalFileSize ??
    formOptions?.maxFileSize ??
    WEB_DEFAULTS.maxFileSize;
  return maxFieldsSize(config) + files + MULTIPART_OVERHEAD;
}

function keepBytes({ req, config }: WebRequest, saved: Buffer[]): void {
  let left = maxFormBytes(config);
  req.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left >= 0) saved.push(chunk); // else it is refused, and what still comes is discarded
  });
}

function finishForm(
  request: WebRequest,
  { fields, files }: Form,
  saved: Buffer[] | undefined,
): ParsedBody {
  if (saved) request.params.rawBody = Buffer.concat(saved);
  return {
    body: reduceLists(fields, request.config),
    files: reduceLists(files, request.config),
  };
}

function intakeOf(request: WebRequest) {
  const { config } = request;
  return {
    options: config.formOptions ?? NO_OPTIONS,
    maxParams: config.maxParams ?? WEB_DEFAULTS.maxParams,
    temporaryFiles: (request.temporaryFiles ??= []),
  };
}

/** `multiples` keeps every value, as a list even when there is one; otherwise the last value counts. */
function reduceLists<T>(
  lists: Iterable<[string, T[]]>,
  { formOptions }: WebConfig,
): Record<string, T | T[]> {
  const reduced: Record<string, T | T[]> = {};
  for (const [name, list] of lists) {
    if (name === "__proto__") continue;
    reduced[name] = formOptions?.multiples === true ? list : list.at(-1)!;
  }
  return reduced;
}
