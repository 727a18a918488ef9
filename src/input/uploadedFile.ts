/**
 * A file that came with a request, in v29's shape. Only the server makes them from what it received: a JSON body of the
 * same shape is a plain object. It is removed when the request ends: move it to keep it.
 */
export class UploadedFile {
  /** Bytes. */
  size = 0;
  /** In hex, with `config.web.formOptions.hashAlgorithm`. */
  hash: string | null = null;
  /** When it was complete. */
  mtime: Date | null = null;

  constructor(
    /** Where it lies until the request ends. */
    readonly filepath: string,
    /** The last part of `filepath`. */
    readonly newFilename: string,
    /** What the client says; may hold `../`. */
    readonly originalFilename: string | null,
    /** What the client says. */
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
