/** What a JSON document from outside may look like. */
export interface JsonLimits {
  /** Levels of objects and lists. */
  maxDepth: number;
  /** Keys of all objects together. */
  maxKeys: number;
}

/**
 * Level by level, not by recursion: a deep document must not overflow the stack. Own `__proto__` keys are removed:
 * copying them later would change the prototype of the copy.
 * @returns the limit that is exceeded, or undefined
 */
export function checkJson(
  value: unknown,
  { maxDepth, maxKeys }: JsonLimits,
): keyof JsonLimits | undefined {
  let level: object[] = isObject(value) ? [value] : [];
  let keys = 0;
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) return "maxDepth";
    const next: object[] = [];
    for (const container of level) {
      if (Array.isArray(container)) {
        for (const item of container as unknown[])
          if (isObject(item)) next.push(item);
        continue;
      }
      if (Object.hasOwn(container, "__proto__"))
        delete (container as { __proto__?: unknown }).__proto__;
      for (const key in container) {
        if (++keys > maxKeys) return "maxKeys";
        const item = (container as Record<string, unknown>)[key];
        if (isObject(item)) next.push(item);
      }
    }
    level = next;
  }
  return undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
