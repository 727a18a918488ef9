/** Inputs that are uploaded files. */
import { HttpError } from "../errors";
import { essenceOf, isEssence } from "./mediaType";
import { UploadedFile } from "./uploadedFile";

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

/** Any of them. */
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
