/** Opens and reads files for sending. */
import * as fs from "node:fs";
import * as path from "node:path";
import mime = require("mime");

export interface OpenedFile {
  fileStream: fs.ReadStream;
  mime: string;
  length: number;
  lastModified: Date;
  /** When anything of it changed, in ms since the epoch: unlike `lastModified`, no program can set it. */
  ctimeMs: number;
}

/** A whole file. */
export interface FileContent {
  content: Buffer;
  mime: string;
  length: number;
  lastModified: Date;
  /** As exact as the disk has it. */
  mtimeMs: number;
  ctimeMs: number;
  /** Tells a file from another that took its name. */
  ino: number;
}

const DEFAULT_MIME = "application/octet-stream";
// a name that became a pipe since it was checked must not hold the process
export const READ_FLAGS =
  fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);

/** The mime type for a path's extension; `application/octet-stream` when it is not known. */
export function mimeOf(file: string): string {
  return mime.getType(path.extname(file)) ?? DEFAULT_MIME;
}

/** @throws when it cannot be opened */
export async function openFile(file: string): Promise<OpenedFile> {
  const handle = await fs.promises.open(file, READ_FLAGS);
  try {
    const { size, mtime, ctimeMs } = await handle.stat();
    return {
      fileStream: fs.createReadStream(file, { fd: handle }),
      mime: mimeOf(file),
      length: size,
      lastModified: mtime,
      ctimeMs,
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** @throws when it cannot be read */
export async function readFile(file: string): Promise<FileContent> {
  const handle = await fs.promises.open(file, READ_FLAGS);
  try {
    const { mtime, mtimeMs, ctimeMs, ino } = await handle.stat();
    const content = await handle.readFile();
    return {
      content,
      mime: mimeOf(file),
      length: content.length,
      lastModified: mtime,
      mtimeMs,
      ctimeMs,
      ino,
    };
  } finally {
    await handle.close();
  }
}
