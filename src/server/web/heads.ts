/**
 * Counts the memory of request heads (targets and header lines) for `general.maxHeldBytes`. A head counts if its request waits or
 * follows another one of its connection, if it has many lines, or if it is incomplete. So does a started request whose response
 * waits for an earlier one.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import {
  HEADER_LINE_BYTES,
  QUEUED_REQUEST_BYTES,
  UNCOUNTED_HEAD_BYTES,
  UNCOUNTED_HEADER_LINES,
} from "../estimates";
import { ByteShare } from "../heldBytes";

/** The interval at which incomplete heads are counted, in ms. */
const COUNT_MS = 250;

/** Node gives up a head that is longer, in bytes, unless `web.serverOptions` has another `maxHeaderSize`. */
const NODES_LIMIT_BYTES = 16_384;

/** The lines of a head that node has read, beyond the first 32; missing in other runtimes. */
type HeadReader = Socket & { parser?: { _headers?: unknown[] } | null };

const COUNTED = Symbol("counted");

/** A request that asks for an upgrade: a websocket keeps its headers. */
export type Upgradable = IncomingMessage & { upgrade?: boolean };

interface CountedRequest extends IncomingMessage {
  [COUNTED]?: number;
}

/** The heads of one connection. */
export class Heads {
  /** Undefined until one is counted. */
  private complete: ByteShare | undefined;
  private incomplete: ByteShare | undefined;
  private incompleteLines = 0;

  /** @param onLimit disconnects the client */
  constructor(
    private readonly socket: Socket,
    private readonly onLimit: () => void,
  ) {}

  /** How many bytes the heads of requests take that have no complete response. */
  get size(): number {
    return this.complete?.size ?? 0;
  }

  /**
   * Count the head of a request, until `release` or `closeWith`.
   * @param isAlone it is the only request of its connection
   * @returns false if there is no room: the client is disconnected
   */
  take(req: Upgradable, isAlone: boolean): boolean {
    const isShort = req.rawHeaders.length <= 2 * UNCOUNTED_HEADER_LINES;
    if (isAlone && isShort && !req.upgrade) return true;
    const bytes = headBytes(req);
    if (isAlone && isShort && bytes <= UNCOUNTED_HEAD_BYTES) return true;
    if (!this.takeComplete(bytes)) return false;
    (req as CountedRequest)[COUNTED] = bytes;
    return true;
  }

  /**
   * A request is started: its head is given back when the response is closed.
   * @param isQueued its response waits for an earlier one, and counts, too
   * @returns false if there is no room: the client is disconnected
   */
  begin(req: IncomingMessage, res: ServerResponse, isQueued: boolean): boolean {
    const added = isQueued ? QUEUED_REQUEST_BYTES : 0;
    if (isQueued && !this.takeComplete(added)) return false;
    const bytes = ((req as CountedRequest)[COUNTED] ?? 0) + added;
    if (bytes > 0) res.once("close", () => this.complete?.give(bytes));
    return true;
  }

  /** Count what has arrived of the next head. */
  countIncomplete(): void {
    const { _headers: texts } = (this.socket as HeadReader).parser ?? {};
    const lines = (texts?.length ?? 0) / 2;
    if (lines === this.incompleteLines) return;
    this.incompleteLines = lines;
    this.incomplete ??= this.share();
    this.incomplete.give(this.incomplete.size);
    if (lines === 0) return;
    const bytes = lines * HEADER_LINE_BYTES + NODES_LIMIT_BYTES;
    if (!this.incomplete.take(bytes)) this.onLimit();
  }

  release(): void {
    this.complete?.release();
    this.incomplete?.release();
  }

  private takeComplete(bytes: number): boolean {
    this.complete ??= this.share();
    if (this.complete.take(bytes)) return true;
    this.onLimit();
    return false;
  }

  private share(): ByteShare {
    const { socket } = this;
    const share = new ByteShare({
      clientAddress: socket.remoteAddress,
      get bytesRead() {
        return socket.bytesRead;
      },
    });
    share.expectMore(this.onLimit);
    return share;
  }
}

function headBytes({ rawHeaders, url = "" }: IncomingMessage): number {
  let bytes = (rawHeaders.length / 2) * HEADER_LINE_BYTES + url.length;
  for (const text of rawHeaders) bytes += text.length;
  return bytes;
}

/** Looks at the incomplete heads of all connections, while there are any. */
export class HeadWatch {
  private readonly watched = new Set<Heads>();
  private timer: NodeJS.Timeout | undefined;

  add(heads: Heads): void {
    this.watched.add(heads);
    this.timer ??= setInterval(() => this.countAll(), COUNT_MS).unref();
  }

  delete(heads: Heads): void {
    this.watched.delete(heads);
    if (this.watched.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private countAll(): void {
    for (const heads of [...this.watched]) heads.countIncomplete();
  }
}
