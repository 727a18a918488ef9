/** Inputs that are uploaded files. */
import { HttpError } from "../errors";

/** The files that an input accepts. */
export interface FileOptions {
  /** Bytes of one file (default: `config.web.formOptions.maxFileSize`, which is also the most). */
  maxSize?: number;
  /** Media types as clients declare them: `"image/png"`, `"image/*"` (default: all). */
  types?: readonly string[];
  /** The maximum number of files; if set, the param is a list (default: one file, no list). */
  maxFiles?: number;
  /** Refuse calls without a file (default false). */
  required?: boolean;
}

/** The declaration of `file()`. */
export interface FileRule {
  /** Bytes of one file. */
  maxSize: number;
  /** In lower case; undefined for all. */
  types: readonly string[] | undefined;
  maxFiles: number;
  isList: boolean;
}

/** An input whose value is an UploadedFile, or with `maxFiles` a list of them. */
export interface FileInput<Options extends FileOptions> {
  file: FileRule & {
    isList: Options extends { maxFiles: number } ? true : false;
  };
  required: Options extends { required: true } ? true : false;
}

/** An input made by `file()`. */
export interface AnyFileInput {
  file: FileRule;
  required: boolean;
}

/**
 * Declare an input that takes uploaded files: `inputs = { picture: file({ maxSize: 1024 ** 2, types: ["image/*"] }) }`.
 * Any other value of this name is refused, on every transport.
 */
export function file<Options extends FileOptions = object>(
  options?: Options,
): FileInput<Options> {
  const { maxSize, types, maxFiles, required } = (options ?? {}) as FileOptions;
  const rule: FileRule = {
    maxSize: maxSize ?? Infinity,
    types: types?.map((type) => type.toLowerCase()),
    maxFiles: maxFiles ?? 1,
    isList: maxFiles !== undefined,
  };
  return { file: rule, required: required === true } as FileInput<Options>;
}

/** The reason why a value violates the rule, or undefined. */
export function fileFailure(
  { maxSize, types, maxFiles, isList }: FileRule,
  value: unknown,
  name: string,
): HttpError | undefined {
  if (isList !== Array.isArray(value)) return notAFile(name);
  const files: unknown[] = isList ? (value as unknown[]) : [value];
  if (files.length > maxFiles) return tooManyFiles(name, maxFiles);
  for (const one of files) {
    if (!(one instanceof UploadedFile)) return notAFile(name);
    if (one.size > maxSize) return tooLargeFile(name, maxSize);
    if (!isTypeAllowed(types, one.mimetype)) return wrongType(name, types!);
  }
  return undefined;
}

/** @param mediaType as in a `Content-Type`, optionally with parameters */
export function isTypeAllowed(
  types: readonly string[] | undefined,
  mediaType: string | null,
): boolean {
  if (types === undefined) return true;
  const type = essenceOf(mediaType ?? "");
  if (!isEssence(type)) return false;
  return types.some((allowed) =>
    allowed.endsWith("/*")
      ? type.startsWith(allowed.slice(0, -1))
      : type === allowed,
  );
}

export function wrongType(name: string, types: readonly string[]): HttpError {
  const list = types.join(", ");
  return new HttpError(415, `"${name}" takes only files of the type ${list}`);
}

export function tooLargeFile(name: string, maxSize: number): HttpError {
  return new HttpError(
    413,
    `"${name}" takes files of at most ${maxSize} bytes`,
  );
}

export function tooManyFiles(name: string, maxFiles: number): HttpError {
  const files = maxFiles === 1 ? "file" : "files";
  return new HttpError(413, `"${name}" takes at most ${maxFiles} ${files}`);
}

function notAFile(name: string): HttpError {
  const text = `Input for parameter "${name}" is not an uploaded file`;
  return new HttpError(422, text);
}

/**
 * A file of a request, in v29's shape. Only the server creates instances, from received uploads: a JSON body of the
 * same shape is a plain object. It is removed when the request ends: move it to keep it.
 */
export class UploadedFile {
  /** Bytes. */
  size = 0;
  /** In hex, with `config.web.formOptions.hashAlgorithm`. */
  hash: string | null = null;
  /** When the upload was complete. */
  mtime: Date | null = null;

  constructor(
    /** Its path until the request ends. */
    readonly filepath: string,
    /** The last part of `filepath`. */
    readonly newFilename: string,
    /** The name from the client; may contain `../`. */
    readonly originalFilename: string | null,
    /** The type from the client. */
    readonly mimetype: string | null,
  ) {}

  get lastModifiedDate(): Date | null {
    return this.mtime;
  }

  toJSON(): Record<string, unknown> {
    const { size, filepath, newFilename, mimetype, mtime, originalFilename } =
      this;
    return { size, filepath, newFilename, mimetype, mtime, originalFilename };
  }
}

// --- Media types as clients and projects write them (RFC 9110 section 8.3.1).

// the grammar also allows "*", but only for ranges of types
const TOKEN = "[\\w!#$%&'+.^`|~-]+";
const VALUE = `(?:${TOKEN}|"[^"\\\\]*")`;

const ESSENCE = new RegExp(`^${TOKEN}/${TOKEN}$`);
const MEDIA_TYPE = new RegExp(
  `^[ \\t]*${TOKEN}/${TOKEN}(?:[ \\t]*;(?:[ \\t]*${TOKEN}=${VALUE})?)*[ \\t]*$`,
);

/** Whether it is one type and one subtype, without parameters. */
function isEssence(text: string): boolean {
  return ESSENCE.test(text);
}

/** Whether it is exactly one media type, optionally with parameters. */
export function isMediaType(text: string): boolean {
  return MEDIA_TYPE.test(text);
}

/** Type and subtype of a media type, in lower case. */
export function essenceOf(mediaType: string): string {
  const semicolon = mediaType.indexOf(";");
  const essence = semicolon === -1 ? mediaType : mediaType.slice(0, semicolon);
  return essence.trim().toLowerCase();
}
