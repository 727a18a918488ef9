/**
 * Which connections of this process are in which room, so that a message costs as much as it has recipients here.
 *
 * It only yields candidates: `connection.rooms` is the public truth, and delivery checks it.
 */
import type { ChatConnection } from "./types";

const NOBODY: ReadonlySet<ChatConnection> = new Set();

export class RoomIndex {
  private readonly members = new Map<string, Set<ChatConnection>>();

  /** The rooms with at least one member here. */
  get rooms(): string[] {
    return [...this.members.keys()];
  }

  /** The connections in `room`; not a copy. */
  membersOf(room: string): ReadonlySet<ChatConnection> {
    return this.members.get(room) ?? NOBODY;
  }

  /** @returns whether it is the first member here */
  add(room: string, connection: ChatConnection): boolean {
    const members = this.members.get(room);
    if (members) {
      members.add(connection);
      return false;
    }
    this.members.set(room, new Set([connection]));
    return true;
  }

  /** @returns whether it was the last member here */
  remove(room: string, connection: ChatConnection): boolean {
    const members = this.members.get(room);
    if (!members?.delete(connection) || members.size > 0) return false;
    return this.members.delete(room);
  }
}
