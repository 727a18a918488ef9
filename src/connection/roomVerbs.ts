/** The verbs about chat rooms. */
import { api } from "../api";
import { chatRoom } from "../chat/chatRoom";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import type { Connection } from "./connection";
import { verbError } from "./verbError";

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
  say: async (connection, words) => {
    const { room, message } = spokenTo(connection, words);
    // nothing after the room is no message, as version 29 has it; code may send an empty text
    await rooms().broadcast(connection, room, message || undefined);
  },
} satisfies Record<string, VerbHandler>;

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
  words: string[],
): { room: string; message: string } {
  const [first = "", ...rest] = words;
  const own = onlyRoomOf(connection);
  return settings().general.sayToOwnRoom && own && first !== own
    ? { room: own, message: words.join(" ") }
    : { room: first, message: rest.join(" ") };
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
