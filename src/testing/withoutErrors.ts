/** What tests get of a response is no JSON, but has the texts of errors as clients do. */
import { errorTextForClients, saysItself } from "../log/clientJson";

/**
 * A value with a text in place of each Error that its plain objects and lists contain.
 * @returns the value itself where there are none; otherwise a copy of the objects on the way to them
 */
export function withoutErrors(value: unknown): unknown {
  return replaceIn(value, new Map());
}

function replaceIn(value: unknown, seen: Map<object, unknown>): unknown {
  if (value instanceof Error)
    return saysItself(value) ? value : errorTextForClients(value);
  if (!isWalked(value)) return value;
  if (seen.has(value)) return seen.get(value);
  seen.set(value, value); // a circle stays one
  let copy: Record<string, unknown> | undefined;
  for (const [key, item] of Object.entries(value)) {
    const replaced = replaceIn(item, seen);
    if (replaced === item) continue;
    copy ??= (Array.isArray(value) ? [...value] : { ...value }) as Record<
      string,
      unknown
    >;
    copy[key] = replaced;
  }
  seen.set(value, copy ?? value);
  return copy ?? value;
}

function isWalked(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === Object.prototype || prototype === null || Array.isArray(value)
  );
}
