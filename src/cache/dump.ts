/** Writes the whole cache to a file, and restores it. */
import * as fs from "node:fs/promises";
import type { Redis } from "ioredis";
import { ActionheroError } from "../errors";
import { client } from "./lock";
import { batchesOf, clear, keys } from "./scan";

/** Keys per batch. */
const BATCH = 500;

/**
 * The entry of one redis key in the file. An object without an expiry is its bare text, as v29 wrote it; v29 cannot
 * read the other form.
 */
type Entry = string | { value?: string; list?: string[]; expiresAt?: number };

/**
 * Write all objects and lists to a file, with their expiry times. An existing file is replaced as a whole.
 * @returns the number of entries
 */
export async function dumpWrite(file: string): Promise<number> {
  const redis = client();
  const entries: [string, Entry][] = [];
  for (const batch of batchesOf(await keys(), BATCH)) {
    const found = await Promise.all(batch.map((key) => read(redis, key)));
    found.forEach((entry, i) => {
      if (entry !== undefined) entries.push([batch[i]!, entry]);
    });
  }
  const unfinished = `${file}.${process.pid}.tmp`;
  await fs.writeFile(unfinished, JSON.stringify(Object.fromEntries(entries)));
  await fs.rename(unfinished, file);
  return entries.length;
}

/** @returns undefined if the key no longer exists, or does not belong to the cache */
async function read(redis: Redis, key: string): Promise<Entry | undefined> {
  const [type, ttl] = await Promise.all([redis.type(key), redis.pttl(key)]);
  const expiresAt = ttl > 0 ? Date.now() + ttl : undefined;
  if (type === "list")
    return { list: await redis.lrange(key, 0, -1), expiresAt };
  if (type !== "string") return undefined;
  const value = (await redis.get(key)) ?? undefined;
  return expiresAt === undefined ? value : { value, expiresAt };
}

/**
 * Replace the contents of the cache by those of a file, of this version or of v29. Expired entries are skipped. The
 * whole file is validated before anything is removed.
 * @returns the number of restored objects and lists
 * @throws ActionheroError AH_CACHE_DUMP for a file that `dumpWrite` did not write
 */
export async function dumpRead(file: string): Promise<number> {
  const now = Date.now();
  const entries = parse(file, await fs.readFile(file, "utf8")).filter(
    ([, entry]) =>
      typeof entry === "string" || (entry.expiresAt ?? Infinity) > now,
  );
  const redis = client();
  await clear();
  for (const batch of batchesOf(entries, BATCH))
    await Promise.all(batch.map(([key, entry]) => write(redis, key, entry)));
  return entries.length;
}

async function write(redis: Redis, key: string, entry: Entry): Promise<void> {
  if (typeof entry === "string") {
    await redis.set(key, entry);
    return;
  }
  const { list, value, expiresAt } = entry;
  if (value !== undefined) await redis.set(key, value);
  for (const items of batchesOf(list ?? [], BATCH))
    await redis.rpush(key, ...items);
  if (expiresAt !== undefined) await redis.pexpireat(key, expiresAt);
}

function parse(file: string, text: string): [string, Entry][] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (cause) {
    throw new ActionheroError(
      "AH_CACHE_DUMP",
      `${file} is no dump of the cache: it is not JSON`,
      { cause },
    );
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    throw new ActionheroError(
      "AH_CACHE_DUMP",
      `${file} is no dump of the cache: it is not an object of keys`,
    );
  return Object.entries(content).map(([key, entry]) => {
    if (!isEntry(entry))
      throw new ActionheroError(
        "AH_CACHE_DUMP",
        `${file} is no dump of the cache: what it has for "${key}" is no text, value or list`,
      );
    return [key, entry];
  });
}

function isEntry(entry: unknown): entry is Entry {
  if (typeof entry === "string") return true;
  if (typeof entry !== "object" || entry === null) return false;
  const { value, list, expiresAt } = entry as Record<string, unknown>;
  if (expiresAt !== undefined && !Number.isInteger(expiresAt)) return false;
  if (value !== undefined) return typeof value === "string";
  return Array.isArray(list) && list.every((item) => typeof item === "string");
}
