/** The temporary folder of uploaded files. */
import { createHash, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { UploadedFile } from "../../input/file";
import { isRunning } from "../../utils/isRunning";
import type { FormOptions } from "../../config/settingTypes";

/** On folders that several machines share, only the host that wrote a file can tell whether its process lives. */
const HOST = createHash("sha256")
  .update(os.hostname())
  .digest("hex")
  .slice(0, 8);
const STARTED = Math.round(Date.now() - process.uptime() * 1000).toString(36);
const PREFIX = "actionhero-upload";
const NAME = /^actionhero-upload-([\da-f]{8})-(\d+)-([\da-z]+)-/;

export function uploadFolder(options: Pick<FormOptions, "uploadDir">): string {
  return options.uploadDir ?? os.tmpdir();
}

/** A name that identifies the process, to find files of crashed processes. */
export function newUpload(
  options: Pick<FormOptions, "uploadDir" | "keepExtensions">,
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

/**
 * Remove files of dead processes of this host from the folder.
 * @returns how many files were removed
 */
export async function removeLeftovers(folder: string): Promise<number> {
  let names: string[];
  try {
    names = await fs.promises.readdir(folder);
  } catch {
    return 0; // no readable folder, no leftovers; the first upload will report the error
  }
  let removed = 0;
  for (const name of names) {
    if (!isLeftover(name)) continue;
    try {
      await fs.promises.unlink(path.join(folder, name));
      removed++;
    } catch {
      continue; // another program's file, or already removed
    }
  }
  return removed;
}

function isLeftover(name: string): boolean {
  const match = NAME.exec(name);
  if (!match || match[1] !== HOST) return false;
  const pid = Number(match[2]);
  // the processes of containers all have the same pid; the start time distinguishes them
  return pid === process.pid ? match[3] !== STARTED : !isRunning(pid);
}

function safeExtension(filename: string): string {
  const extension = path.extname(path.basename(filename));
  return /^\.[\w-]{1,20}$/.test(extension) ? extension : "";
}
