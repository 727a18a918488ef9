/** The verbs about chat rooms. */
import { api } from "../api";
import { chatRoom } from "../chat/chatRoom";
import { viewRoom } from "../chat/membership";
import { type ErrorName, wordedError } from "../config/errorMessage";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import { wordedForClients } from "../log/exposure";
import type { Connection } from "./connection";

/** What follows a verb: a text, or from clients that speak JSON an object or a list. */
export type VerbArgument = string | object;

type VerbHandler = (connection: Connection, args: string[]) => unknown;

/** Looked up at each use: users and their tests replace its functions. */
function rooms() {
  const { chatRoom: found } = api as Partial<typeof api>;
  if (!found) throw new HttpError(503, "chat rooms are not available");
  return found;
}

export const roomVerbs = {
  roomAdd: async (connection, [room = ""]) => {
    checkRoomCount(connection);
    await rooms().addMember(connection.id, room);
    return true;
  },
  roomLeave: async (connection, [room = ""]) => {
    await rooms().removeMember(connection.id, room);
    return true;
  },
  roomView: async (connection, [named]) => {
    const room = named || onlyRoomOf(connection) || "";
    if (!connection.rooms.includes(room))
      throw await verbError("connectionNotInRoom", connection, room);
    return viewRoom(room);
  },
  roomChange: changeRoom,
} satisfies Record<string, VerbHandler>;

/** The verb `say`; with `general.sayObjects` the message may be an object or a list. */
export async function say(
  connection: Connection,
  args: readonly VerbArgument[],
): Promise<void> {
  const { room, said } = addresseeOf(connection, args);
  const [only] = said;
  const isObject = said.length === 1 && typeof only === "object";
  const message =
    isObject && settings().general.sayObjects
      ? only
      : said.map(argumentText).join(" ");
  // nothing after the room is a missing message, as in version 29; code may send an empty text
  await rooms().broadcast(connection, room, message || undefined);
}

/** A word as text: its JSON if it is not a string. */
export function argumentText(word: VerbArgument): string {
  // null and undefined come only from projects in JavaScript, and are empty texts in a message
  return typeof word === "object" && (word as object | null) !== null
    ? JSON.stringify(word)
    : (word as string);
}

/** Additional fields of a reply: the room of a client that has changed its room. */
export function answerFields(
  verb: string,
  { rooms: [room] }: Connection,
): { room?: string } {
  return verb === "roomChange" ? { room } : {};
}

/** Join one room, creating it if necessary, and leave all others. */
async function changeRoom(
  connection: Connection,
  [room = ""]: string[],
): Promise<true> {
  if (room === "")
    throw await verbError("connectionRoomRequired", connection, room);
  if (!connection.rooms.includes(room)) {
    if (!(await chatRoom.exists(room))) await makeRoom(room);
    await rooms().addMember(connection.id, room); // first, as it may be refused
  }
  for (const other of connection.rooms.filter((name) => name !== room))
    await rooms().removeMember(connection.id, other);
  return true;
}

async function makeRoom(room: string): Promise<void> {
  try {
    await chatRoom.add(room);
  } catch (error) {
    if (!(await chatRoom.exists(room))) throw error; // another caller created it first
  }
}

/** The first argument is the room; with `general.sayToOwnRoom`, clients in a single room may omit it. */
function addresseeOf(
  connection: Connection,
  args: readonly VerbArgument[],
): { room: string; said: readonly VerbArgument[] } {
  const [first = "", ...rest] = args;
  const own = onlyRoomOf(connection);
  return settings().general.sayToOwnRoom && own && first !== own
    ? { room: own, said: args }
    : { room: argumentText(first), said: rest };
}

/** The limit applies to joins of clients, not to `chatRoom.addMember` of the server. */
function checkRoomCount({ rooms: { length } }: Connection): void {
  const limit = settings().general.maxRoomsPerConnection;
  if (limit > 0 && length >= limit)
    throw new HttpError(400, `too many rooms (limit ${limit})`);
}

function onlyRoomOf({ rooms: [room, ...others] }: Connection) {
  return others.length === 0 ? room : undefined;
}

// --- The errors of verbs, with texts from `config.errors`.

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
