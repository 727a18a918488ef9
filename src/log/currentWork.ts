/** Links log lines to the current request, message or job, which `src/context` sets. */
import { AsyncResource } from "node:async_hooks";
import { types } from "node:util";
import { withFields } from "../utils/objects";

const KEY = Symbol.for("actionhero.log.work");

/** Empty unless `general.context` is on. */
interface CurrentWork {
  /** The id of what is worked on. */
  id?: () => string | undefined;
  /** Run a function for another process, in a context with the id that it sent. */
  begin?: <T>(id: string | undefined, run: () => T) => T;
}

/** The longest id that is accepted from another process, in characters. */
const MAX_ID_LENGTH = 128;

/** Whether a value from another process is usable as an id; the id is part of every log line of the work. */
export function isWorkId(value: unknown): value is string {
  return (
    typeof value === "string" && value !== "" && value.length <= MAX_ID_LENGTH
  );
}

/** On `globalThis`, as several copies of the package log for one server. */
const host = globalThis as { [KEY]?: CurrentWork };

export const currentWork: CurrentWork = (host[KEY] ??= {});

/** Run a function outside of any context, for example to start a timer that all requests share. */
export const outsideOfWork: <T>(run: () => T) => T = AsyncResource.bind(
  <T>(run: () => T) => run(),
);

/** The fields of a line with the id as `requestId`, unless they have a field of this name. */
export function withRequestId(data: unknown, requestId: string): object {
  if (typeof data !== "object" || data === null) return { requestId };
  if (Object.hasOwn(data, "requestId")) return data;
  // winston reads the message, stack and cause of an error; they are not enumerable, so a plain copy would lose them
  if (types.isNativeError(data))
    return Object.assign(Object.create(data) as object, data, { requestId });
  return withFields(data, { requestId });
}
