/** The texts that `config.errors` gives to what chat refuses. */
import { wordedError, type ErrorName } from "../config/errorMessage";
import { ActionheroError, toError } from "../errors";

/** The refusal with one of chat's texts; what users answer in place of a text is thrown as it is. */
export async function chatError(
  name: ErrorName,
  ...args: unknown[]
): Promise<Error> {
  const text = await wordedError(name, ...args);
  return typeof text === "string"
    ? new ActionheroError("AH_CHAT", text)
    : toError(text);
}
