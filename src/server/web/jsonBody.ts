/** Parses JSON bodies and checks that they are not built to exhaust the server. */
import { BodyError } from "./bodyError";

export interface JsonLimits {
  maxDepth: number;
  /** Keys of all objects together. */
  maxKeys: number;
}

/**
 * Own `__proto__` keys are removed: copying them later would change the prototype of the copy.
 * @throws BodyError
 */
export function parseJson(body: Buffer, limits: JsonLimits): unknown {
  const text = body.toString("utf8");
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    throw BodyError.malformed(error);
  }
  checkJson(value, limits);
  return value;
}

/** Level by level, not by recursion: a deep document must not overflow the stack. */
function checkJson(value: unknown, { maxDepth, maxKeys }: JsonLimits): void {
  let level: object[] = isObject(value) ? [value] : [];
  let keys = 0;
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth)
      throw BodyError.tooComplex("web.maxBodyDepth", maxDepth, "levels");
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
        if (++keys > maxKeys)
          throw BodyError.tooComplex("web.maxParams", maxKeys, "params");
        const item = (container as Record<string, unknown>)[key];
        if (isObject(item)) next.push(item);
      }
    }
    level = next;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
