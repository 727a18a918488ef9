/** Error messages: the project's functions in `config.errors`, else the framework's own texts. */
import { isThenable } from "../utils/promises";
import { config } from "./config";
import { settings } from "./settings";

/** A function of `config.errors`; returns a string, an Error or any object, or a promise of one. */
export type ErrorMessage = (...facts: any[]) => unknown;

const unknownVerb = (_connection: unknown, verb: string) =>
  `verb not found or not allowed (${verb})`;

/** Used when `config.errors` lacks the function; `test/config/errorMessage.test.ts` compares them with `config/errors.ts`. */
const MESSAGES = {
  internalError: (id: string) =>
    `The server experienced an internal error (${id})`,

  invalidParams: (_data: unknown, errors: unknown[]) => errors[0],
  missingParams: (_data: unknown, missing: string[]) =>
    `${missing[0]} is a required parameter for this action`,
  unknownAction: ({
    connection: { otherMethods },
  }: {
    connection: { otherMethods?: string[] };
  }) =>
    otherMethods
      ? `unknown action or invalid apiVersion (with this method: use ${otherMethods.join(", ")})`
      : "unknown action or invalid apiVersion",
  unsupportedServerType: (data: { connection: { type: string } }) =>
    `this action does not support the ${data.connection.type} connection type`,
  serverShuttingDown: () => "the server is shutting down",
  tooManyPendingActions: () => "you have too many pending requests",
  rateLimited: (
    _connection: unknown,
    { requests, perMs }: { requests: number; perMs: number },
  ) => `too many requests (limit ${requests} per ${perMs} ms)`,
  overloaded: () => "the server is overloaded, try again later",
  timedOut: (_data: unknown, timeout: number) =>
    `the action did not end within ${timeout} ms`,
  genericError: (_data: unknown, error: unknown) => error,

  fileNotFound: () => "that file is not found",
  fileNotProvided: () => "file is a required param to send a file",
  fileReadError: (_connection: unknown, error: Error | undefined) =>
    `error reading file: ${error?.message ?? String(error)}`,

  verbNotFound: unknownVerb,
  verbNotAllowed: unknownVerb,
  connectionRoomAndMessage: () => "both room and message are required",
  connectionNotInRoom: (_connection: unknown, room: string) =>
    `connection not in this room (${room})`,
  connectionAlreadyInRoom: (_connection: unknown, room: string) =>
    `connection already in this room (${room})`,
  connectionRoomHasBeenDeleted: () => "this room has been deleted",
  connectionRoomNotExist: () => "room does not exist",
  connectionRoomExists: () => "room exists",
  connectionRoomRequired: () => "a room is required",

  /** The labels are swapped, but clients match on the text. */
  dataLengthTooLarge: (max: number, received: number) =>
    `data length is too big (${max} received/${received} max)`,
} satisfies Record<string, ErrorMessage>;

export type ErrorName = keyof typeof MESSAGES;

/** The project's function for an error, else the framework's. */
export function errorMessage(name: ErrorName): ErrorMessage {
  return projectMessage(name) ?? MESSAGES[name];
}

/** The project's function for an error, or undefined if `config.errors` lacks it. */
export function projectMessage(
  name: ErrorName | "redisAway",
): ErrorMessage | undefined {
  const errors = config.errors as Record<string, unknown> | undefined;
  const configured = errors?.[name];
  return typeof configured === "function"
    ? (configured as ErrorMessage)
    : undefined;
}

/** The result of the function for an error; the framework's text if the project's function returns nothing. */
export async function wordedError(
  name: ErrorName,
  ...facts: unknown[]
): Promise<unknown> {
  const framework: ErrorMessage = MESSAGES[name];
  return (await projectMessage(name)?.(...facts)) ?? framework(...facts);
}

// --- Serializes errors for the clients of one server, by `config.errors.serializers.servers`.

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
