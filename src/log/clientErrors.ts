/** The log level of errors that clients cause: `config.errors.clientErrorLogLevel`. */
import { settings } from "../config/settings";
import { httpFactsOf } from "../errors";
import type { ActionheroLogLevel } from "./log";

/** `"error"` in the version 29 profile. */
export function clientErrorLevel(): ActionheroLogLevel {
  return settings().errors.clientErrorLogLevel;
}

/** Whether the client caused an error: its status is from 400 to 499. */
export function isClientError(error: unknown): boolean {
  const { status = 0 } = httpFactsOf(error);
  return status >= 400 && status < 500;
}

/** The level of the line about an error that ends a request or a connection. */
export function levelOf(error: unknown): ActionheroLogLevel {
  return isClientError(error) ? clientErrorLevel() : "error";
}
