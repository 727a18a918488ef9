/** The errors of chat, with texts from `config.errors`. */
import { wordedError, type ErrorName } from "../config/errorMessage";
import { ActionheroError, toError } from "../errors";

/** A refusal with one of chat's texts; other return values of the user's functions are thrown unchanged. */
export async function chatError(
  name: ErrorName,
  ...args: unknown[]
): Promise<Error> {
  const text = await wordedError(name, ...args);
  return typeof text === "string"
    ? new ActionheroError("AH_CHAT", text)
    : toError(text);
}
