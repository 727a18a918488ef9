/** The exported `cache`: objects, lists and locks in redis, shared by the cluster. */
import { dumpRead, dumpWrite } from "./dump";
import { cachePrefix, lockPrefix } from "./keys";
import {
  checkLock,
  client,
  lock,
  lockDuration,
  lockSettings,
  overrideLockName,
  unlock,
} from "./lock";
import {
  destroy,
  listLength,
  load,
  loadMany,
  pop,
  push,
  save,
  saveMany,
  type CacheEntry as Entry,
  type CacheOptions as Options,
} from "./objects";
import { CacheErrorMessages, type CacheObject as CachedObject } from "./record";
import { clear, getKeys, keys, locks, scanCount, size } from "./scan";
import { traced } from "./trace";
import { wrap, type WrapOptions as OptionsOfWrap } from "./wrap";

export const cache = {
  CacheErrorMessages,

  /** `config.general.cachePrefix`. */
  get redisPrefix(): string {
    return cachePrefix();
  },
  /** `config.general.lockPrefix`. */
  get lockPrefix(): string {
    return lockPrefix();
  },
  /** `config.general.lockDuration`, in ms. */
  get lockDuration(): number {
    return lockDuration();
  },
  /** `config.redis.scanCount`. */
  get scanCount(): number {
    return scanCount();
  },
  /** Interval of checks of a lock that another owner holds, in ms (default 100). */
  get lockRetry(): number {
    return lockSettings.lockRetry;
  },
  set lockRetry(ms: number) {
    lockSettings.lockRetry = ms;
  },
  /** The owner name of this process's locks; may be replaced. */
  get lockName(): () => string {
    return lockSettings.lockName;
  },
  set lockName(lockName: () => string) {
    lockSettings.lockName = lockName;
  },

  client,
  overrideLockName,
  lock: traced("lock", lock),
  unlock: traced("unlock", unlock),
  checkLock: traced("checkLock", checkLock),

  save: traced("save", save),
  saveMany: traced("saveMany", saveMany),
  load: traced("load", load),
  loadMany: traced("loadMany", loadMany),
  destroy: traced("destroy", destroy),
  wrap: traced("wrap", wrap),
  push: traced("push", push),
  pop: traced("pop", pop),
  listLength: traced("listLength", listLength),

  getKeys,
  keys,
  locks,
  size,
  clear,

  dumpWrite,
  dumpRead,
};

// eslint-disable-next-line @typescript-eslint/no-namespace -- types that users reach as `cache.CacheOptions`
export namespace cache {
  export type CacheObject = CachedObject;
  export type CacheOptions = Options;
  export type CacheEntry = Entry;
  export type WrapOptions = OptionsOfWrap;
}
