/** `api.cache` of version 3, on the cache of today. */
import { cache } from "../cache/cache";
import { settings } from "../config/settings";
import type { ActionheroError } from "../errors";
import { passOn } from "./callbacks";

type LoadNext = (
  value: any,
  expireTimestamp: number | null,
  createdAt: number | null,
  readAt: number | null,
) => void;

/** A cached object with the metadata of version 3; all fields are null if it does not exist. */
interface Loaded {
  value: any;
  /** ms since the epoch; null: never. */
  expireTimestamp: number | null;
  createdAt: number | null;
  /** When it was read before, with `general.cacheTrackReads`. */
  readAt: number | null;
}

const NOTHING: Loaded = {
  value: null,
  expireTimestamp: null,
  createdAt: null,
  readAt: null,
};

/** Where the time of the last read is kept. */
const READ_SUFFIX = ":readAt";

export const cacheFacade = {
  /** Returns true. */
  save(
    _api: unknown,
    key: string,
    value: unknown,
    expireTimeMS?: number | null,
    next?: (isSaved: boolean) => void,
  ): Promise<boolean> {
    return passOn<boolean, boolean>(
      cache.save(key, value, expireTimeMS),
      next,
      false,
    );
  },

  /** Tells the value, when it expires, when it was saved, and when it was read before. */
  load(_api: unknown, key: string, next?: LoadNext): Promise<Loaded> {
    const spread =
      next &&
      (({ value, expireTimestamp, createdAt, readAt }: Loaded) =>
        next(value, expireTimestamp, createdAt, readAt));
    return passOn(loadAll(key), spread, NOTHING);
  },

  /** Tells whether it was there. */
  destroy(
    _api: unknown,
    key: string,
    next?: (isDestroyed: boolean) => void,
  ): Promise<boolean> {
    return passOn(cache.destroy(key), next, false);
  },
};

async function loadAll(key: string): Promise<Loaded> {
  let found;
  try {
    found = await cache.load(key);
  } catch (error) {
    if ((error as ActionheroError).code === "AH_CACHE_NOT_FOUND")
      return NOTHING;
    throw error;
  }
  const { value, createdAt } = found as { value: unknown; createdAt: number };
  const leftMs = await cache.client().pttl(cache.redisPrefix + key);
  const expireTimestamp = leftMs >= 0 ? Date.now() + leftMs : null;
  const readAt = await exchangeReadAt(key, leftMs);
  return { value, expireTimestamp, createdAt, readAt };
}

/** When the object was read before; now is written down, for as long as the object lives. */
async function exchangeReadAt(
  key: string,
  leftMs: number,
): Promise<number | null> {
  const { cacheTrackReads } = settings().general;
  if (cacheTrackReads !== true) return null;
  const name = cache.redisPrefix + key + READ_SUFFIX;
  const redis = cache.client();
  const before = await redis.get(name);
  if (leftMs > 0) await redis.set(name, Date.now(), "PX", leftMs);
  else await redis.set(name, Date.now());
  return before === null ? null : Number(before);
}
