/** Uploaded files on their way through the temporary folder. */
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { log } from "../../log/log";
import { isRunning } from "../../utils/isRunning";
import type { FormOptions } from "./webConfig";

/** A received file; v29's shape. It is removed when the request ends: move it to keep it. */
export class UploadedFile {
  size = 0;
  hash: string | null = null;
  mtime: Date | null = null;

  constructor(
    readonly filepath: string,
    readonly newFilename: string,
    readonly originalFilename: string | null,
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

/** On folders that several machines share, only the host that wrote a file can tell whether its process lives. */
const HOST = createHash("sha256")
  .update(os.hostname())
  .digest("hex")
  .slice(0, 8);
const STARTED = Math.round(Date.now() - process.uptime() * 1000).toString(36);
const PREFIX = "actionhero-upload";
const NAME = /^actionhero-upload-([\da-f]{8})-(\d+)-([\da-z]+)-/;

export function uploadFolder(options: FormOptions): string {
  return options.uploadDir ?? os.tmpdir();
}

/** A name that tells which process left the file behind, should it crash. */
export function newUpload(
  options: FormOptions,
  originalFilename: string | null,
  mimetype: string | null,
): UploadedFile {
  const random = randomBytes(12).toString("hex");
  const extension =
    options.keepExtensions === true && originalFilename
      ? safeExtension(originalFilename)
      : "";
  const name = `${PREFIX}-${HOST}-${process.pid}-${STARTED}-${random}${extension}`;
  const filepath = path.join(uploadFolder(options), name);
  return new UploadedFile(filepath, name, originalFilename, mimetype);
}

/** Remove the files of a finished request; those that were moved are gone already. */
export function removeUploads(files: readonly string[]): void {
  for (const file of files) {
    fs.unlink(file, (error) => {
      if (error && error.code !== "ENOENT")
        log(`cannot remove uploaded file ${file}`, "error", {
          error: String(error),
        });
    });
  }
}

/**
 * Remove what processes of this host that are no more left in the folder.
 * @returns how many files were removed
 */
export async function removeLeftovers(folder: string): Promise<number> {
  let names: string[];
  try {
    names = await fs.promises.readdir(folder);
  } catch {
    return 0; // no folder, no leftovers; the first upload will say what is wrong with it
  }
  let removed = 0;
  for (const name of names) {
    if (!isLeftover(name)) continue;
    try {
      await fs.promises.unlink(path.join(folder, name));
      removed++;
    } catch {
      continue; // somebody else's, or gone already
    }
  }
  return removed;
}

function isLeftover(name: string): boolean {
  const match = NAME.exec(name);
  if (!match || match[1] !== HOST) return false;
  const pid = Number(match[2]);
  // a container's processes all have the same pid: then the start time tells them apart
  return pid === process.pid ? match[3] !== STARTED : !isRunning(pid);
}

function safeExtension(filename: string): string {
  const extension = path.extname(path.basename(filename));
  return /^\.[\w-]{1,20}$/.test(extension) ? extension : "";
}
