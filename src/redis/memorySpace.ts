/** Data in the memory of this process instead of an embedded redis, shared by all clients of the same embedded data. */
import type { Redis } from "ioredis";

/** ioredis-mock's record of a data space, which clients of one address share. */
interface SharedData {
  has(key: string): boolean;
  set(key: string, value: string): void;
}

interface EmbeddedClient extends Redis {
  context: { data: SharedData };
}

const spaces = new WeakMap<object, Map<string, unknown>>();

/**
 * The data under `name` in the space of an embedded client.
 * @param create is given a function that returns true once after each `flushdb` or `flushall` of any of these clients
 */
export function memoryOf<Kept>(
  client: Redis,
  name: string,
  create: (isFlushed: () => boolean) => Kept,
): Kept {
  const data = sharedDataOf(client);
  const kept = spaces.get(data) ?? new Map<string, unknown>();
  spaces.set(data, kept);
  let found = kept.get(name) as Kept | undefined;
  if (found === undefined) {
    found = create(flushDetector(data, name));
    kept.set(name, found);
  }
  return found;
}

function sharedDataOf(client: Redis): SharedData {
  return (client as EmbeddedClient).context.data;
}

/** A flush removes this key together with all others. */
function flushDetector(data: SharedData, name: string): () => boolean {
  const marker = `ah:memory:${name}`;
  data.set(marker, "1");
  return () => {
    if (data.has(marker)) return false;
    data.set(marker, "1");
    return true;
  };
}
