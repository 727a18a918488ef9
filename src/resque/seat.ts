/** The place of one worker in the registration of its process. */
import type { Connection } from "./connection";
import type { Member } from "./steps/lease";
import type { Slot } from "./steps/take";

export class Seat {
  member!: Member;
  slot!: Slot;
  /** The registration under which it is listed. */
  registration = "";
  /** The registration under which it took its job; under another one the job was given back. */
  takenIn = "";
  /** Wants no more jobs. */
  isLeaving = false;
  /** Has left: whatever its job still reports is refused. */
  isGone = false;
  /** Locks that live as long as the worker. */
  readonly held = new Map<string, { value: string; seconds: number }>();
  /** Called when there is no job for it. */
  onIdle?: () => void;
  /** Called when its job was given back while it runs. */
  onFenced?: () => void;

  constructor(
    private readonly connection: Connection,
    name: string,
    private readonly queues: string,
  ) {
    this.rename(name);
  }

  get heldKey(): string {
    return this.connection.key("ah:held", this.member.member);
  }

  rename(name: string): void {
    const { connection, queues } = this;
    const member = `${name}:${queues}`;
    this.member = { name, member, queues };
    this.slot = {
      name,
      record: connection.key("worker", member),
      processed: connection.key("stat:processed", name),
      failed: connection.key("stat:failed", name),
      head: `{"worker":${JSON.stringify(name)}`,
    };
  }
}
