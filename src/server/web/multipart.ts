/** Receives multipart forms and single files; files go to disk while they arrive. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Transform, type Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { BusboyInstance } from "@fastify/busboy";
import {
  type UploadedFile,
  isTypeAllowed,
  tooLargeFile,
  tooManyFiles,
  wrongType,
  type FileRule,
} from "../../input/file";
import { BodyError, RequestAborted } from "./bodyRefusal";
import { pairBytes, textBytes } from "../estimates";
import { newUpload, type TemporaryFiles } from "./uploadDisk";
import type { WebSettings } from "../../config/settings";
import { api } from "../../api";
import type { HttpError } from "../../errors";
import { planOf, tableOf } from "../../input/schemaPlan";
import { type DeclaredInputs, isStandardSchema } from "../../input/types";

/**
 * Bytes that a form may have in addition to its fields and files: boundaries, headers of parts, and those of a file that are
 * on their way to the disk.
 */
export const MULTIPART_OVERHEAD = 1024 * 1024;

/** The bytes of files on their way to the disk at which the rest of a form waits: a slow disk slows its client down. */
const MAX_UNWRITTEN_BYTES = 64 * 1024;

/** Every value of every field and file, in order. */
export interface Form {
  fields: Map<string, string[]>;
  /** The names whose fields are all of the type `application/json`. */
  jsonFields: ReadonlySet<string>;
  files: Map<string, UploadedFile[]>;
}

interface Upload {
  options: WebSettings["formOptions"];
  maxParams: number;
  /** The field whose rule applies to a file. */
  fieldOf: (name: string) => string;
  rules: FileRules;
  temporaryFiles: TemporaryFiles;
  /** Called for received bytes before they are stored in memory; an error ends the request. */
  hold: (bytes: number) => Error | undefined;
  /** Called for bytes of a file that are on the disk. */
  written: (bytes: number) => void;
  /** The body, inflated, in chunks that are not small. */
  source: Readable;
}

interface FormUpload extends Upload {
  /** Bytes of the whole body. */
  maxBytes: number;
  /** The error for a longer body. */
  tooLarge: () => BodyError;
}

/** @throws BodyError, RequestAborted, or the error of the disk */
export function receiveMultipart(
  req: IncomingMessage,
  upload: FormUpload,
): Promise<Form> {
  const { source } = upload;
  return new Promise((resolve, reject) => {
    const jsonFields = new Set<string>();
    const form: Form = { fields: new Map(), jsonFields, files: new Map() };
    const writes: Promise<void>[] = [];
    const parts: Readable[] = [];
    const count = new FormCount(upload);
    const parser = openParser(req, upload);
    let isReading = true;
    let isOver = false;

    const isBehind = () => parser.writableNeedDrain || count.isDiskBehind;
    const proceed = () => {
      if (isReading && !isBehind()) source.resume();
    };
    const stopReading = () => {
      isReading = false;
      source.off("data", receive);
      source.pause();
    };
    const written = (bytes: number) => {
      upload.written(bytes);
      count.written(bytes);
      proceed();
    };

    const fail = (error: unknown) => {
      if (isOver) return;
      isOver = true;
      stopReading();
      source.destroy();
      parser.destroy();
      for (const part of parts) part.destroy(); // the parser does not destroy the current one
      void Promise.allSettled(writes).then(() => reject(error as Error));
    };
    const guard = (work: () => void) => {
      try {
        if (!isOver) work();
      } catch (error) {
        fail(error);
      }
    };

    parser.on("field", (name, value, nameTruncated, valueTruncated, ...type) =>
      guard(() => {
        requireName(name);
        count.addField(name, value, nameTruncated || valueTruncated);
        const parsed = pairBytes(1, value) + textBytes(name);
        const refusal = upload.hold(parsed - Buffer.byteLength(value));
        if (refusal) throw refusal;
        if (type.at(-1) !== JSON_TYPE) jsonFields.delete(name);
        else if (!form.fields.has(name)) jsonFields.add(name);
        append(form.fields, name, value);
      }),
    );
    parser.on("file", (name, stream, filename, _encoding, mimetype) => {
      stream.on("error", fail);
      const take = () => {
        guard(() => {
          requireName(name);
          const field = upload.fieldOf(name);
          count.addFile(field, mimetype);
          const file = newUpload(upload.options, filename || null, mimetype);
          append(form.files, field, file);
          const receiver = { ...upload, written };
          const write = storeFile(stream, { field, file }, receiver, count);
          writes.push(write);
          parts.push(stream);
          write.catch(fail);
        });
        if (isOver) stream.resume();
      };
      if (filename) take();
      else takeIfAny(stream, take);
    });
    parser.on("partsLimit", () =>
      fail(BodyError.tooComplex("web.maxParams", maxPartsOf(upload), "parts")),
    );
    parser.on("error", (error) => fail(BodyError.malformed(error)));
    parser.on("finish", () => {
      stopReading(); // what follows the last boundary is discarded
      if (isOver) return;
      Promise.all(writes).then(() => {
        if (isOver) return;
        isOver = true;
        resolve(form);
      }, fail);
    });
    req.once("close", () => {
      if (!req.complete) fail(new RequestAborted());
    });
    let bytes = 0;
    const receive = (chunk: Buffer) => {
      bytes += chunk.length;
      // the parser collects fields in memory; only the bytes of files leave it
      const refusal =
        bytes > upload.maxBytes
          ? upload.tooLarge()
          : (count.check(bytes) ?? upload.hold(chunk.length));
      if (refusal) return fail(refusal);
      parser.write(chunk);
      if (isBehind()) source.pause();
    };
    parser.on("drain", proceed);
    source.once("error", fail);
    source.once("end", () => {
      if (isReading) parser.end();
    });
    source.on("data", receive);
  });
}

/** A file without a name and without contents is a file input without a selected file. */
function takeIfAny(stream: Readable, take: () => void): void {
  stream.once("readable", () => {
    if (stream.readableLength > 0) take();
    else stream.resume();
  });
}

const JSON_TYPE = "application/json";
/** The file name that `FormData` gives to a `Blob`, which is its only way to send a type. */
const BLOB_NAME = "blob";

/** Files have a name, or a type other than text; any other part is a field. */
function isPartAFile(
  rules: FileRules,
  name: string | undefined,
  mediaType: string | undefined,
  filename: string | undefined,
): boolean {
  const type = mediaType ?? "text/plain";
  if (filename === undefined) return !isText(type);
  const mayBeJson = filename === BLOB_NAME && type === JSON_TYPE;
  return !mayBeJson || !rules.takesJson(name ?? "");
}

function isText(mediaType: string): boolean {
  return mediaType.startsWith("text/") || mediaType === JSON_TYPE;
}

/** The param for a body of the type application/octet-stream. */
export const SINGLE_FILE = "file";

/** The whole body is one file. */
export async function receiveFile(
  req: IncomingMessage,
  upload: Upload,
): Promise<UploadedFile> {
  const name = req.headers["x-file-name"];
  const type = req.headers["content-type"] ?? null;
  const count = new FormCount(upload);
  count.addFile(SINGLE_FILE, type);
  const file = newUpload(
    upload.options,
    typeof name === "string" ? name : null,
    type,
  );
  const received = { field: SINGLE_FILE, file };
  const { source } = upload;
  source.on("data", (chunk: Buffer) => {
    const refusal = upload.hold(chunk.length);
    if (refusal) source.destroy(refusal);
  });
  try {
    await storeFile(source, received, upload, count);
  } catch (error) {
    if (req.destroyed && !req.complete) throw new RequestAborted();
    throw error;
  }
  return file;
}

async function storeFile(
  stream: Readable,
  { field, file }: { field: string; file: UploadedFile },
  { options, temporaryFiles, written }: Upload,
  count: FormCount,
): Promise<void> {
  const hash = options.hashAlgorithm
    ? createHash(options.hashAlgorithm)
    : undefined;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, next) {
      file.size += chunk.length;
      const error = count.addBytes(field, file.size, chunk.length);
      if (error) return next(error);
      hash?.update(chunk);
      next(null, chunk);
    },
  });
  const output = temporaryFiles.create(file.filepath, written);
  // the request itself stays readable after an error, so that the rest can be discarded and a response sent
  stream.on("error", (error) => meter.destroy(error));
  stream.once("close", () => {
    if (!stream.readableEnded) meter.destroy(new RequestAborted());
  });
  stream.pipe(meter);
  try {
    await pipeline(meter, output);
  } catch (error) {
    stream.unpipe(meter);
    stream.resume();
    await closed(output); // a pending write would recreate the file after its removal
    throw error;
  }
  file.hash = hash?.digest("hex") ?? null;
  file.mtime = new Date();
}

function closed(output: Writable): Promise<void> {
  if (output.closed) return Promise.resolve();
  return new Promise((resolve) => output.once("close", () => resolve()));
}

/** Counts the contents of a form against its limits. */
class FormCount {
  private fields = 0;
  private fieldBytes = 0;
  private files = 0;
  private fileBytes = 0;
  private writtenBytes = 0;
  private refusedFile: BodyError | undefined;

  constructor(private readonly upload: Upload) {}

  addField(name: string, value: string, isTruncated: boolean): void {
    const { options, maxParams } = this.upload;
    const maxFields = options.maxFields || maxParams;
    if (++this.fields > maxFields) {
      const setting = options.maxFields
        ? "web.formOptions.maxFields"
        : "web.maxParams";
      throw BodyError.tooComplex(setting, maxFields, "params");
    }
    const max = options.maxFieldsSize;
    this.fieldBytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (isTruncated || this.fieldBytes > max)
      throw BodyError.tooLarge("web.formOptions.maxFieldsSize", max);
  }

  /**
   * The refusal of a file; else that of fields and the headers of parts, while they arrive: the parser tells of a field at
   * its end, and of headers not at all.
   * @param received all bytes of the form so far
   */
  check(received: number): BodyError | undefined {
    if (this.refusedFile) return this.refusedFile;
    const max = this.upload.options.maxFieldsSize;
    return received - this.fileBytes > max + MULTIPART_OVERHEAD
      ? BodyError.tooLarge("web.formOptions.maxFieldsSize", max)
      : undefined;
  }

  /** @throws BodyError */
  addFile(field: string, mediaType: string | null): void {
    const { options, rules } = this.upload;
    rules.check(field, mediaType);
    const max = options.maxFiles;
    if (++this.files > max)
      throw BodyError.tooLarge("web.formOptions.maxFiles", max, "files");
  }

  addBytes(
    field: string,
    fileSize: number,
    bytes: number,
  ): BodyError | undefined {
    this.fileBytes += bytes;
    this.refusedFile ??= this.refusalOf(field, fileSize);
    return this.refusedFile;
  }

  /** Called when bytes of files have been written to the disk. */
  written(bytes: number): void {
    this.writtenBytes += bytes;
  }

  get isDiskBehind(): boolean {
    return this.fileBytes - this.writtenBytes > MAX_UNWRITTEN_BYTES;
  }

  private refusalOf(field: string, fileSize: number): BodyError | undefined {
    const { options, rules } = this.upload;
    const { maxFileSize, maxTotalFileSize } = options;
    const refusal = rules.tooLarge(field, fileSize);
    if (refusal) return refusal;
    if (fileSize > maxFileSize)
      return BodyError.tooLarge("web.formOptions.maxFileSize", maxFileSize);
    if (this.fileBytes > maxTotalFileSize)
      return BodyError.tooLarge(
        "web.formOptions.maxTotalFileSize",
        maxTotalFileSize,
      );
    return undefined;
  }
}

/** The maximum number of parts of a form: fields, files, and others. */
function maxPartsOf({ options, maxParams }: Upload): number {
  const maxFiles = options.maxFiles;
  return (options.maxFields || maxParams) + maxFiles;
}

function openParser(req: IncomingMessage, upload: Upload): BusboyInstance {
  const { maxFieldsSize } = upload.options;
  const maxParts = maxPartsOf(upload);
  // loaded on demand, because many servers never receive a form
  const { Busboy } =
    require("@fastify/busboy") as typeof import("@fastify/busboy");
  try {
    return new Busboy({
      headers: {
        "content-type": req.headers["content-type"] ?? "",
      },
      isPartAFile: (...part) => isPartAFile(upload.rules, ...part),
      limits: {
        fieldNameSize: 1024,
        fieldSize: maxFieldsSize,
        // parts without a name or content are dropped, but still counted
        parts: maxParts,
      },
    });
  } catch (error) {
    throw BodyError.malformed(error);
  }
}

/** The parser's types do not tell that a part may have none. @throws BodyError */
function requireName(name: string | undefined): void {
  if (name === undefined)
    throw BodyError.malformed(new Error("a part of the form has no name"));
}

function append<T>(lists: Map<string, T[]>, name: string, value: T): void {
  const list = lists.get(name);
  if (list) list.push(value);
  else lists.set(name, [value]);
}

// --- The files that a request may upload: those that its action declares, and others if `config.web.uploads` allows
// it.

export class FileRules {
  private readonly counts = new Map<string, number>();

  private constructor(
    private readonly declared: ReadonlyMap<string, FileRule>,
    private readonly jsonNames: ReadonlySet<string>,
    private readonly takesOthers: boolean,
  ) {}

  /**
   * @param action its name; undefined while the body may still name it. Every version counts: the body may name that,
   * too, and the inputs are checked again when the action is known.
   */
  static for(
    action: string | undefined,
    { uploads }: Pick<WebSettings, "uploads">,
  ): FileRules {
    const declared = new Map<string, FileRule>();
    const jsonNames = new Set<string>();
    const { actions } = api.actions;
    const versions =
      action !== undefined && Object.hasOwn(actions, action)
        ? Object.values(actions[action]!)
        : [];
    for (const { inputs } of versions) {
      for (const name of structuredNames(inputs)) jsonNames.add(name);
      for (const [name, { file }] of Object.entries(tableOf(inputs))) {
        if (!file) continue;
        const other = declared.get(name);
        declared.set(name, other ? widest(file, other) : file);
      }
    }
    return new FileRules(declared, jsonNames, uploads !== "declared");
  }

  /** The rule of a field, if its action declares one. */
  ruleOf(field: string): FileRule | undefined {
    return this.declared.get(field);
  }

  /** Whether a field is a list or an object by the schema of its action, and no declared file. */
  takesJson(field: string): boolean {
    return this.jsonNames.has(field) && !this.declared.has(field);
  }

  /** Accept another file of a field. @throws BodyError 413 or 415 */
  check(field: string, mediaType: string | null): void {
    const rule = this.declared.get(field);
    if (!rule) {
      if (this.takesOthers) return;
      const name = JSON.stringify(field.slice(0, 100));
      throw BodyError.unsupported(`this action takes no file ${name}`);
    }
    if (!isTypeAllowed(rule.types, mediaType))
      throw asBodyError(wrongType(field, rule.types!));
    const count = (this.counts.get(field) ?? 0) + 1;
    if (count > rule.maxFiles)
      throw asBodyError(tooManyFiles(field, rule.maxFiles));
    this.counts.set(field, count);
  }

  /** The error of a file of this size, if its action declares a lower limit. */
  tooLarge(field: string, bytes: number): BodyError | undefined {
    const rule = this.declared.get(field);
    return rule && bytes > rule.maxSize
      ? asBodyError(tooLargeFile(field, rule.maxSize))
      : undefined;
  }
}

/** The params that a schema describes as lists or objects. */
function structuredNames(inputs: DeclaredInputs): string[] {
  if (!isStandardSchema(inputs)) return [];
  return [...planOf(inputs).types]
    .filter(([, types]) => types.has("array") || types.has("object"))
    .map(([name]) => name);
}

/** The union of the rules of two versions of an action. */
function widest(a: FileRule, b: FileRule): FileRule {
  return {
    maxSize: Math.max(a.maxSize, b.maxSize),
    maxFiles: Math.max(a.maxFiles, b.maxFiles),
    types: a.types && b.types ? [...a.types, ...b.types] : undefined,
    isList: a.isList,
  };
}

function asBodyError({ status, message }: HttpError): BodyError {
  return new BodyError(status, message);
}
