/** Serializes errors for the clients of one server, by `config.errors.serializers.servers`. */
import { isThenable } from "../utils/promises";
import { settings } from "./settings";

/**
 * The value to send for an error: the result of the project's serializer for this server, else the error's message.
 * An Error itself is never sent, because JSON would reveal fields that its library added, such as paths.
 * @returns a promise only if the serializer does
 */
export function serializeError(server: string, error: unknown): unknown {
  const serializer = settings().errors.serializers.servers[server];
  if (typeof serializer !== "function") return textOf(error);
  const serialized = serializer(error);
  return isThenable(serialized)
    ? serialized.then(withoutErrors)
    : withoutErrors(serialized);
}

function textOf(error: unknown): unknown {
  const { message } = (error ?? {}) as { message?: string };
  return message ? String(message) : withoutErrors(error);
}

function withoutErrors(serialized: unknown): unknown {
  if (!(serialized instanceof Error)) return serialized;
  return serialized.message || serialized.name;
}
