/** `config.socket.legacyReplies`: what version 3 told TCP clients, beside what they are told today. */

/** Where the data of a verb were. */
const DATA_NAMES: Record<string, string> = {
  paramsView: "params",
  detailsView: "details",
  roomView: "roomStatus",
};

/** The data of a verb by its name of old. */
export function legacyFields(verb: string, data: unknown): object {
  return Object.hasOwn(DATA_NAMES, verb) ? { [DATA_NAMES[verb]!]: data } : {};
}

/**
 * A message with `messageCount`, and `status: "OK"` for an answer without an error.
 * @param count how many lines the client has sent: an answer has the number of its own, if it is known
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
