/**
 * Replies to `roomView`. Reading a large room is expensive, and each client may ask many times a second: clients of this
 * process that request the same room share a read, and reads of one room are paced.
 */
import { api } from "../api";
import { sleep } from "../utils/promises";
import type { RoomStatus } from "./types";

/** The pause after a read of a room, as a multiple of the read's duration. */
const PAUSE_FACTOR = 3;
/** The longest pause, in ms: a slow redis must not delay replies further. */
const MAX_PAUSE_MS = 250;

interface Read {
  /** Settles when the next read of the room may begin. */
  readonly isOver: Promise<void>;
  /** Shared by requests that arrive during this read: it begins after them, so it sees what they did before. */
  next?: Promise<RoomStatus>;
}

/** The current read of each room, until its pause ends. */
const reads = new Map<string, Read>();

/**
 * The result of `api.chatRoom.roomStatus`, read after this call. Callers share the result and must not change it.
 * @throws Error "a room is required" or "room does not exist"
 */
export function viewRoom(room: string): Promise<RoomStatus> {
  const running = reads.get(room);
  if (!running) return read(room);
  return (running.next ??= running.isOver.then(() => read(room)));
}

function read(room: string): Promise<RoomStatus> {
  const begin = performance.now();
  const status = readRoom(room);
  const over = () => sleep(pauseAfter(performance.now() - begin));
  const current: Read = { isOver: status.then(over, over) };
  reads.set(room, current);
  void current.isOver.then(() => {
    if (current.next === undefined) reads.delete(room);
  });
  return status;
}

/** Projects may replace the function with one that throws synchronously. */
async function readRoom(room: string): Promise<RoomStatus> {
  return api.chatRoom.roomStatus(room);
}

function pauseAfter(took: number): number {
  return Math.min(took * PAUSE_FACTOR, MAX_PAUSE_MS);
}
