/** `tasks.sortInputs`: jobs are the same whatever the order in which the keys of their inputs were given. */
import { settings } from "../config/settings";
import { sortKeys } from "../utils/sortKeys";
import type { TaskInputs } from "./task";

/** The arguments of a job with these inputs. */
export function argsOf(inputs: TaskInputs | null | undefined): unknown[] {
  return [settings().tasks.sortInputs ? sorted(inputs) : inputs];
}

/**
 * The different arguments that existing jobs with these inputs may have: those of `argsOf`, and the inputs as given, because
 * jobs may have been enqueued before `tasks.sortInputs` was set, or by a process of version 29.
 */
export function possibleArgsOf(inputs: TaskInputs | undefined): unknown[][] {
  const args = argsOf(inputs);
  const given = [inputs];
  const isSame =
    !settings().tasks.sortInputs ||
    JSON.stringify(args) === JSON.stringify(given);
  return isSame ? [args] : [args, given];
}

/** The inputs as a worker will get them, with sorted keys. */
function sorted(inputs: unknown): unknown {
  const json = JSON.stringify(inputs) as string | undefined;
  return json === undefined ? undefined : JSON.parse(json, sortKeys);
}
