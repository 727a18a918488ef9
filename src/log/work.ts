/** The request, message or job that log lines belong to: `src/context` says which one it is at the moment. */
import { AsyncResource } from "node:async_hooks";
import { types } from "node:util";
import { withFields } from "../utils/withFields";

const KEY = Symbol.for("actionhero.log.work");

/** Empty unless `general.context` is on. */
interface CurrentWork {
  /** The id of what is worked on. */
  id?: () => string | undefined;
  /** Run something that another process asked for, with the id that it has sent. */
  begin?: <T>(id: string | undefined, run: () => T) => T;
}

/** Longer ids are not taken over, in characters. */
const MAX_ID_LENGTH = 128;

/** Whether something that another process has sent can be an id: it comes to every log line of the work. */
export function isWorkId(value: unknown): value is string {
  return (
    typeof value === "string" && value !== "" && value.length <= MAX_ID_LENGTH
  );
}

/** On `globalThis`, as several copies of the package log for one server. */
const host = globalThis as { [KEY]?: CurrentWork };

export const currentWork: CurrentWork = (host[KEY] ??= {});

/** Do what belongs to no work in particular, such as starting a timer that all share. */
export const outsideOfWork: <T>(run: () => T) => T = AsyncResource.bind(
  <T>(run: () => T) => run(),
);

/** The fields of a line with the id as `requestId`, unless they have a field of this name. */
export function withRequestId(data: unknown, requestId: string): object {
  if (typeof data !== "object" || data === null) return { requestId };
  if (Object.hasOwn(data, "requestId")) return data;
  // winston reads the message, stack and cause of errors, which are no fields that a copy would have
  if (types.isNativeError(data))
    return Object.assign(Object.create(data) as object, data, { requestId });
  return withFields(data, { requestId });
}
