/** Files on disk: whether a requested name leads to one inside a public folder, and how one is read. */
import type { Stats } from "node:fs";
import * as path from "node:path";
import * as fs from "node:fs";
import { createHash, type Hash } from "node:crypto";
import mime = require("mime");

/** A file that may be served. */
export interface LocatedFile {
  path: string;
  /** The path after following symbolic links, which was checked, and so is to be opened. */
  realPath: string;
  stats: Stats;
  /** The name is that of a folder, and this is its index. */
  isIndex: boolean;
}

/** No system takes longer paths (PATH_MAX is 4,096 on Linux): looking at a longer name is not worth the time. */
export const MAX_NAME_LENGTH = 4096;

/** How many folders an index may lead through before it is given up. */
const MAX_INDEX_DEPTH = 8;

/**
 * The file behind a name, if it exists and lies inside `root`, before and after following symbolic links: a link may
 * point elsewhere within the folder, and never out of it.
 * @param name relative to `root`, or absolute; as the client sent it, but decoded
 * @param indexName the file that stands for a folder
 */
export async function locate(
  root: string,
  name: string,
  indexName: string,
): Promise<LocatedFile | undefined> {
  if (name.includes("\0")) return undefined;
  // a backslash separates folders on Windows only, but no client has a reason to send one
  if (name.includes("\\")) return undefined;
  const base = path.resolve(root);
  const resolved = path.isAbsolute(name)
    ? path.normalize(name)
    : path.join(base, name);
  if (!isWithin(base, resolved)) return undefined;

  try {
    const realBase = await fs.promises.realpath(base);
    return await follow(realBase, resolved, indexName, 0);
  } catch {
    return undefined; // not there, not readable, a loop of links: all the same to a client
  }
}

async function follow(
  realBase: string,
  candidate: string,
  indexName: string,
  depth: number,
): Promise<LocatedFile | undefined> {
  const real = await fs.promises.realpath(candidate);
  if (!isWithin(realBase, real)) return undefined;
  const stats = await fs.promises.stat(real);
  if (stats.isFile())
    return { path: candidate, realPath: real, stats, isIndex: depth > 0 };
  if (!stats.isDirectory() || depth >= MAX_INDEX_DEPTH) return undefined;
  const index = path.join(candidate, indexName);
  return follow(realBase, index, indexName, depth + 1);
}

/**
 * Whether a name leads to or through something that begins with a dot, which is what keys and histories are called.
 * `.well-known` is public (RFC 8615).
 * @param name relative to `root`, or absolute
 */
export function isDotfile(root: string, name: string): boolean {
  if (!name.startsWith(".") && !name.includes("/.")) return false;
  const relative = path.relative(root, path.resolve(root, name));
  return relative
    .split(path.sep)
    .some((part) => /^\.(?!\.?$)/.test(part) && part !== ".well-known");
}

/** The folder itself or below it; a sibling whose name merely starts the same is not. */
function isWithin(folder: string, candidate: string): boolean {
  if (candidate === folder) return true;
  const prefix = folder.endsWith(path.sep) ? folder : folder + path.sep;
  return candidate.startsWith(prefix);
}

// --- Opening and reading.

interface OpenedFile {
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
const READ_FLAGS = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);

/** The mime type for a path's extension; `application/octet-stream` when it is not known. */
function mimeOf(file: string): string {
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

// --- Computes ETags from the contents of files, so that all machines with the same bytes send the same tag.

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
