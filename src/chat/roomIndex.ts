/**
 * Index of the connections of this process by room, so that the cost of a message is proportional to its local
 * recipients.
 *
 * The index only yields candidates: `connection.rooms` is authoritative, and delivery checks it.
 */
import type { ChatConnection } from "./types";

const NOBODY: ReadonlySet<ChatConnection> = new Set();

export class RoomIndex {
  private readonly members = new Map<string, Set<ChatConnection>>();

  /** The rooms with at least one local member. */
  get rooms(): string[] {
    return [...this.members.keys()];
  }

  /** The connections in `room`; not a copy. */
  membersOf(room: string): ReadonlySet<ChatConnection> {
    return this.members.get(room) ?? NOBODY;
  }

  /** @returns whether it is the first local member */
  add(room: string, connection: ChatConnection): boolean {
    const members = this.members.get(room);
    if (members) {
      members.add(connection);
      return false;
    }
    this.members.set(room, new Set([connection]));
    return true;
  }

  /** @returns whether it was the last local member */
  remove(room: string, connection: ChatConnection): boolean {
    const members = this.members.get(room);
    if (!members?.delete(connection) || members.size > 0) return false;
    return this.members.delete(room);
  }
}
