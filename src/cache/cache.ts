/** The exported `cache`: objects, lists and locks in redis, shared by the cluster. */
import { tracing } from "../tracing/tracer";
import {
  type CacheObject as CachedObject,
  CacheErrorMessages,
  cachePrefix,
  lockPrefix,
  checkLock,
  client,
  lock,
  lockDuration,
  lockSettings,
  overrideLockName,
  unlock,
} from "./keys";
import {
  destroy,
  type CacheEntry as Entry,
  listLength,
  load,
  loadMany,
  type CacheOptions as Options,
  pop,
  push,
  save,
  saveMany,
} from "./objects";
import {
  clear,
  dumpRead,
  dumpWrite,
  getKeys,
  keys,
  locks,
  scanCount,
  size,
} from "./scan";
import { type WrapOptions as OptionsOfWrap, wrap } from "./wrap";

// --- The spans of the cache. Keys are left out: they often have ids of users in them.

type Operation = (...args: never[]) => Promise<unknown>;

/** An operation of the cache that has a span while tracing is on. */
function traced<F extends Operation>(name: string, operation: F): F {
  const attributes = { "actionhero.cache.operation": name };
  const start = {
    name: `cache ${name}`,
    isDetail: true,
    expects: "AH_CACHE_NOT_FOUND",
    attributes,
  };
  const wrapped = (...args: never[]): Promise<unknown> => {
    const { tracer } = tracing;
    return tracer
      ? tracer.run(start, () => operation(...args))
      : operation(...args);
  };
  return wrapped as F;
}

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
