import { config } from "./config";

/** A function of `config.errors`: what it answers is a text, an Error or any object, perhaps by a promise. */
export type ErrorMessage = (...facts: any[]) => unknown;

/** The project's function for an error, or undefined when its `config.errors` has none. */
export function errorMessage(key: string): ErrorMessage | undefined {
  const errors = config.errors as Record<string, unknown> | undefined;
  const configured = errors?.[key];
  return typeof configured === "function"
    ? (configured as ErrorMessage)
    : undefined;
}
