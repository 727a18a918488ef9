/** Admission of verbs and files, which may be refused for the same reasons as actions. */
import { api } from "../api";
import type { Connection } from "../connection/connection";
import { overloadedError } from "../overload/overload";
import { countFile, countRequest } from "./rateLimit";

const LEAVING = ["quit", "exit"];

/**
 * Check before a verb runs; `quit` and `exit` are always allowed.
 * @returns a promise that rejects with the client's error if the verb is refused; undefined if nothing is limited
 */
export function admitVerb(
  connection: Connection,
  verb: string,
): Promise<void> | undefined {
  if (LEAVING.includes(verb)) return undefined;
  return refuseOverload() ?? countRequest(connection);
}

/** The same before a file is sent. */
export function admitFile(connection: Connection): Promise<void> | undefined {
  return refuseOverload() ?? countFile(connection);
}

function refuseOverload(): Promise<never> | undefined {
  const { overload } = api;
  return overload?.isOverloaded === true
    ? Promise.reject(overloadedError(overload))
    : undefined;
}
