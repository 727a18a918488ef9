/** The texts that `config.errors` gives to what chat refuses. */
import { errorMessage } from "../config/errorMessage";
import { ActionheroError, toError } from "../errors";

type TextName =
  | "connectionRoomAndMessage"
  | "connectionNotInRoom"
  | "connectionAlreadyInRoom"
  | "connectionRoomHasBeenDeleted"
  | "connectionRoomNotExist"
  | "connectionRoomExists"
  | "connectionRoomRequired";

/** One of chat's texts; users may have made any of them async. */
export async function chatText(
  name: TextName,
  ...args: unknown[]
): Promise<unknown> {
  return (await errorMessage(name)?.(...args)) ?? name;
}

/** The refusal with one of chat's texts; what users answer in place of a text is thrown as it is. */
export async function chatError(
  name: TextName,
  ...args: unknown[]
): Promise<Error> {
  const text = await chatText(name, ...args);
  return typeof text === "string"
    ? new ActionheroError("AH_CHAT", text)
    : toError(text);
}
