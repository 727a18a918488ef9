/** Where the cache keeps its things in redis. */
import { settings } from "../config/settings";

/** `config.general.cachePrefix`, read anew each time: it may change with a restart. */
export function cachePrefix(): string {
  return settings().general.cachePrefix;
}

/** `config.general.lockPrefix`. */
export function lockPrefix(): string {
  return settings().general.lockPrefix;
}

export function cacheKey(key: string): string {
  return cachePrefix() + key;
}

export function lockKey(key: string): string {
  return lockPrefix() + key;
}

/** The lock of `cache.wrap`; not that of `cache.lock`: while a new value is computed, the old one can be read. */
export function computingKey(key: string): string {
  return lockKey(`wrap:${key}`);
}

/**
 * A text as a pattern of SCAN that stands for itself. With brackets: the embedded engine knows no backslash outside of
 * them, and takes `)` for part of an expression.
 */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\)]/g, (character) =>
    character === "\\" ? "[\\\\]" : `[${character}]`,
  );
}
