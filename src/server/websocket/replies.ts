/** What goes out: the fields of v29, in its order. */
export type Message = { [field: string]: any };

/**
 * The message as it is sent, with `context` and `messageId`; a message for many members of a room has all it needs and
 * is the same object, so that it is encoded once.
 */
export function completed(message: Message, messageId: unknown): Message {
  const { context, error } = message;
  if (context && context !== "response" && !error) return message;
  const own: Message =
    typeof message.toJSON === "function" ? message.toJSON() : message;
  const copy: Message = { ...own };
  if (!copy.context) copy.context = "response";
  if (copy.context === "response" && !copy.messageId)
    copy.messageId = messageId;
  return copy;
}

/** A response that is no object: the client needs one, to know what it answers. */
export function asObject(response: unknown, isError: boolean): Message {
  if (
    typeof response === "object" &&
    response !== null &&
    !Array.isArray(response) &&
    !Buffer.isBuffer(response)
  )
    return response;
  return isError ? { error: response } : { data: response };
}

export function verbSuccess(data: unknown): Message {
  return { status: "OK", context: "response", data };
}

export function verbFailure(
  error: unknown,
  fields: Record<string, unknown>,
): Message {
  const text = String(error);
  return { status: text, error: text, context: "response", data: fields };
}
