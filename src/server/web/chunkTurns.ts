import { AddressQueue } from "../../utils/addressQueue";

/** Chunks of 64 KiB that are read, and written, in a turn of the event loop. */
const MAX_CHUNKS = 16;

interface Sender {
  /** Read the next chunk. */
  resume(): void;
}

/**
 * Limits what is read of files in a turn of the event loop, for all clients: others wait for its end, and node accepts one
 * connection in each. Addresses take turns.
 */
export class ChunkTurns {
  private readonly waiting = new AddressQueue<Sender>();
  private left = MAX_CHUNKS;
  private isScheduled = false;
  private readonly next = () => this.begin();

  /** A client has taken a chunk: it gets another one in this turn of the event loop, or in a later one. */
  take(client: Sender, address: string | undefined): void {
    if (this.left === 0) this.waiting.add(client, address);
    else {
      this.left--;
      client.resume();
    }
    this.schedule();
  }

  /** The response is over. */
  delete(client: Sender): void {
    this.waiting.delete(client);
  }

  /** A client that is alone gets one chunk in a turn. */
  private schedule(): void {
    if (this.isScheduled || this.left > MAX_CHUNKS / 2) return;
    this.isScheduled = true;
    setImmediate(this.next);
  }

  private begin(): void {
    this.isScheduled = false;
    this.left = MAX_CHUNKS;
    while (this.left > 0 && this.waiting.size > 0) {
      this.left--;
      this.waiting.take()!.resume();
    }
    this.schedule();
  }
}
