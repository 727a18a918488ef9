/** The verbs about chat rooms. */
import { api } from "../api";
import { chatRoom } from "../chat/chatRoom";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import type { Connection } from "./connection";
import { verbError } from "./verbError";

/** What follows a verb: a text, or from clients that speak JSON an object or a list. */
export type VerbWord = string | object;

type VerbHandler = (connection: Connection, words: string[]) => unknown;

/** Looked up when used: users and their tests replace its functions. */
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
    return rooms().roomStatus(room);
  },
  roomChange: changeRoom,
} satisfies Record<string, VerbHandler>;

/** The verb `say`; with `general.sayObjects` what is said may be one object or list. */
export async function say(
  connection: Connection,
  words: readonly VerbWord[],
): Promise<void> {
  const { room, said } = spokenTo(connection, words);
  const [only] = said;
  const isObject = said.length === 1 && typeof only === "object";
  const message =
    isObject && settings().general.sayObjects
      ? only
      : said.map(wordText).join(" ");
  // nothing after the room is no message, as version 29 has it; code may send an empty text
  await rooms().broadcast(connection, room, message || undefined);
}

/** A word as text: that of its JSON if it is none. */
export function wordText(word: VerbWord): string {
  // null and undefined are words of projects in JavaScript only, and an empty text in what is said
  return typeof word === "object" && (word as object | null) !== null
    ? JSON.stringify(word)
    : (word as string);
}

/** What an answer to a verb has beside its data: where a client is that has changed its room. */
export function answerFields(
  verb: string,
  { rooms: [room] }: Connection,
): { room?: string } {
  return verb === "roomChange" ? { room } : {};
}

/** Into one room, which is made when there is none of this name, and out of all others. */
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
    if (!(await chatRoom.exists(room))) throw error; // else somebody was faster
  }
}

/** The first word is the room; with `general.sayToOwnRoom` it may be left out by those who are in one room only. */
function spokenTo(
  connection: Connection,
  words: readonly VerbWord[],
): { room: string; said: readonly VerbWord[] } {
  const [first = "", ...rest] = words;
  const own = onlyRoomOf(connection);
  return settings().general.sayToOwnRoom && own && first !== own
    ? { room: own, said: words }
    : { room: wordText(first), said: rest };
}

/** Clients join; what the server does with `chatRoom.addMember` is its own affair. */
function checkRoomCount({ rooms: { length } }: Connection): void {
  const limit = settings().general.maxRoomsPerConnection;
  if (limit > 0 && length >= limit)
    throw new HttpError(400, `too many rooms (limit ${limit})`);
}

function onlyRoomOf({ rooms: [room, ...others] }: Connection) {
  return others.length === 0 ? room : undefined;
}
