/** Computes ETags from the contents of files, so that all machines with the same bytes send the same tag. */
import { createHash, type Hash } from "node:crypto";
import * as fs from "node:fs";
import { READ_FLAGS } from "./disk";

/** Identifies one version of a file on this machine. */
export interface FileIdentity {
  size: number;
  lastModified: Date;
  /** When anything of it changed, in ms since the epoch, with fractions. */
  ctimeMs: number;
}

/**
 * Larger files are tagged by size, modification time and samples, because reading them would take too long for one
 * request.
 */
export const MAX_HASHED_BYTES = 8 * 1024 * 1024;
const SAMPLES = 16;
const BLOCK_BYTES = 64 * 1024;

/** How many files are remembered with their tags; the longest unused are dropped first. */
const MAX_REMEMBERED = 10_000;

/** Characters of base64url: 132 bits. */
const TAG_LENGTH = 22;

interface Known {
  identity: string;
  tag: Promise<string | undefined>;
}

const tagsOfContents = new WeakMap<Buffer, string>();

/** The tag of a file in memory; computed once for each buffer. */
export function tagOfContent(content: Buffer): string {
  let tag = tagsOfContents.get(content);
  if (tag === undefined) {
    tag = finish(createHash("sha256").update(content));
    tagsOfContents.set(content, tag);
  }
  return tag;
}

/** The tags of files on the disk, computed once for each version of a file. */
export class ContentTags {
  private readonly known = new Map<string, Known>();

  constructor(private readonly maxRemembered = MAX_REMEMBERED) {}

  /** @returns undefined when the file is no longer the one that is meant, or cannot be read */
  of(file: string, wanted: FileIdentity): Promise<string | undefined> {
    const identity = identityOf(wanted);
    const known = this.known.get(file);
    this.known.delete(file);
    const tag = known?.identity === identity ? known.tag : read(file, identity);
    this.known.set(file, { identity, tag });
    if (this.known.size > this.maxRemembered)
      this.known.delete(this.known.keys().next().value!);
    return tag;
  }
}

function identityOf({ size, lastModified, ctimeMs }: FileIdentity): string {
  return `${size} ${lastModified.getTime()} ${ctimeMs}`;
}

async function read(
  file: string,
  identity: string,
): Promise<string | undefined> {
  try {
    const handle = await fs.promises.open(file, READ_FLAGS);
    try {
      const { size, mtime, ctimeMs } = await handle.stat();
      const found = { size, lastModified: mtime, ctimeMs };
      return identityOf(found) === identity
        ? await hashOf(handle, found)
        : undefined;
    } finally {
      await handle.close();
    }
  } catch {
    return undefined; // the read for the response reports the error
  }
}

async function hashOf(
  handle: fs.promises.FileHandle,
  { size, lastModified }: FileIdentity,
): Promise<string> {
  const hash = createHash("sha256");
  const isWhole = size <= MAX_HASHED_BYTES;
  if (!isWhole) hash.update(`${size} ${lastModified.getTime()} `);
  const blocks = isWhole ? Math.ceil(size / BLOCK_BYTES) : SAMPLES;
  // the last sample is the end of the file
  const step = isWhole ? BLOCK_BYTES : (size - BLOCK_BYTES) / (SAMPLES - 1);
  const block = Buffer.allocUnsafe(BLOCK_BYTES);
  for (let i = 0; i < blocks; i++) {
    const position = Math.round(i * step);
    const { bytesRead } = await handle.read(block, 0, BLOCK_BYTES, position);
    hash.update(block.subarray(0, bytesRead));
  }
  return finish(hash);
}

function finish(hash: Hash): string {
  return hash.digest("base64url").slice(0, TAG_LENGTH);
}
