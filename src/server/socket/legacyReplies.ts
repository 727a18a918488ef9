/** `config.socket.legacyReplies`: adds the fields that version 3 sent to TCP clients. */

/** The old field names for the data of verbs. */
const DATA_NAMES: Record<string, string> = {
  paramsView: "params",
  detailsView: "details",
  roomView: "roomStatus",
};

/** The data of a verb under its old name. */
export function legacyFields(verb: string, data: unknown): object {
  return Object.hasOwn(DATA_NAMES, verb) ? { [DATA_NAMES[verb]!]: data } : {};
}

/**
 * A message with `messageCount`, and `status: "OK"` for a reply without an error.
 * @param count the number of received lines; for a reply the number of its own line, if known
 */
export function inLegacyForm(message: unknown, count: number): unknown {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    return message;
  const { context, error, messageId } = message as Record<string, unknown>;
  const isAnswer = context === "response";
  const status = isAnswer && !error ? { status: "OK" } : {};
  const messageCount =
    isAnswer && typeof messageId === "number" ? messageId : count;
  return { ...status, ...message, messageCount };
}
