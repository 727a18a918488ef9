/** The redis keys of the cache. */
import { settings } from "../config/settings";

/** `config.general.cachePrefix`, read at each use: it may change with a restart. */
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

/**
 * The computing lock of `cache.wrap`, separate from that of `cache.lock`: while a new value is computed, the old one
 * can be read.
 */
export function computingKey(key: string): string {
  return lockKey(`wrap:${key}`);
}

/**
 * Escapes a string for a SCAN pattern. It uses brackets, because the embedded engine supports no backslash outside
 * of them, and treats `)` as part of an expression.
 */
export function escapeGlob(text: string): string {
  return text.replace(/[*?[\\)]/g, (character) =>
    character === "\\" ? "[\\\\]" : `[${character}]`,
  );
}
