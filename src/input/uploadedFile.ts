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
