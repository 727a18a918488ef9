/** `tasks.sortInputs`: jobs are the same whatever the order in which the keys of their inputs were given. */
import { settings } from "../config/settings";
import type { TaskInputs } from "./task";

/** The arguments of a job with these inputs. */
export function argsOf(inputs: TaskInputs | null | undefined): unknown[] {
  return [settings().tasks.sortInputs ? sorted(inputs) : inputs];
}

/**
 * Query the queue for jobs with these inputs, then, if none is found, for those that were enqueued with their keys as given:
 * before `tasks.sortInputs` was set, or by a process of version 29.
 */
export async function findByInputs<Found>(
  inputs: TaskInputs | undefined,
  find: (args: unknown[]) => Promise<Found>,
  isNothing: (found: Found) => boolean,
): Promise<Found> {
  const found = await find(argsOf(inputs));
  return isNothing(found) && settings().tasks.sortInputs
    ? find([inputs])
    : found;
}

/** A copy of plain objects and lists with sorted keys; other values, such as dates, have a JSON of their own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null;
  if (!isPlain || "toJSON" in value) return value;
  const entries = Object.entries(value);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
