/** The errors of verbs, as `config.errors` words them. */
import { errorMessage } from "../config/errorMessage";
import { wordedForClients } from "../log/exposure";
import type { Connection } from "./connection";

const DEFAULT_TEXTS: Record<string, (detail: string) => string> = {
  verbNotFound: (verb) => `verb not found or not allowed (${verb})`,
  verbNotAllowed: (verb) => `verb not found or not allowed (${verb})`,
  connectionNotInRoom: (room) => `connection not in this room (${room})`,
  connectionRoomRequired: () => "a room is required",
};

/** @param detail the name of the verb or of the room */
export async function verbError(
  key: string,
  connection: Connection,
  detail: string,
): Promise<Error> {
  const worded =
    (await errorMessage(key)?.(connection, detail)) ??
    DEFAULT_TEXTS[key]!(detail);
  return wordedForClients(
    typeof worded === "string" ? new Error(worded) : (worded as Error),
  );
}
