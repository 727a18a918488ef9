/** The errors of verbs, with texts from `config.errors`. */
import { wordedError, type ErrorName } from "../config/errorMessage";
import { wordedForClients } from "../log/exposure";
import type { Connection } from "./connection";

/** @param detail the name of the verb or of the room */
export async function verbError(
  name: ErrorName,
  connection: Connection,
  detail: string,
): Promise<Error> {
  const worded = await wordedError(name, connection, detail);
  return wordedForClients(
    typeof worded === "string" ? new Error(worded) : (worded as Error),
  );
}
