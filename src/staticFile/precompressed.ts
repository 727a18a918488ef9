/** Finds the compressed copies that a build puts beside files: `app.js.br` and `app.js.gz`. */
import * as path from "node:path";
import { locate } from "./locate";
import { BELIEVED_MS } from "./memory";

/** The content encodings of copies, with the endings of their names. */
export const ENDINGS = { br: ".br", gzip: ".gz" } as const;

export type StoredEncoding = keyof typeof ENDINGS;

/** A copy that is older than its file is stale; archives and some disks keep times to two seconds. */
const TIME_GRANULARITY_MS = 2000;

/** How many files are remembered with their copies, or with having none; the longest unused are dropped first. */
const MAX_REMEMBERED = 10_000;

interface Copies {
  checkedAt: number;
  lastModifiedMs: number;
  encodings: readonly StoredEncoding[];
}

export class Precompressed {
  private readonly known = new Map<string, Copies>();

  constructor(private readonly now: () => number = () => Date.now()) {}

  /** The encodings of a file of which there is a copy that is not older than the file itself. */
  async encodingsOf(
    file: string,
    lastModified: Date,
  ): Promise<readonly StoredEncoding[]> {
    const lastModifiedMs = lastModified.getTime();
    const known = this.known.get(file);
    if (known?.lastModifiedMs === lastModifiedMs) {
      const age = this.now() - known.checkedAt;
      if (age >= 0 && age < BELIEVED_MS) return known.encodings;
    }
    const encodings = await findCopies(file, lastModifiedMs);
    this.remember(file, { checkedAt: this.now(), lastModifiedMs, encodings });
    return encodings;
  }

  private remember(file: string, copies: Copies): void {
    this.known.delete(file);
    this.known.set(file, copies);
    if (this.known.size <= MAX_REMEMBERED) return;
    for (const oldest of this.known.keys()) {
      this.known.delete(oldest);
      return;
    }
  }
}

async function findCopies(
  file: string,
  lastModifiedMs: number,
): Promise<StoredEncoding[]> {
  const encodings = Object.keys(ENDINGS) as StoredEncoding[];
  const found = await Promise.all(
    encodings.map((encoding) =>
      locate(path.dirname(file), path.basename(file) + ENDINGS[encoding], ""),
    ),
  );
  return encodings.filter((_encoding, i) => {
    const copy = found[i];
    if (copy === undefined || copy.isIndex) return false;
    return copy.stats.mtimeMs + TIME_GRANULARITY_MS >= lastModifiedMs;
  });
}
