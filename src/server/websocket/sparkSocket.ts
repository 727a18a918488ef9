/** The websocket of ws, as sparks need it. */
import { WebSocket } from "ws";
import type { Spark } from "./spark";

/** How long a client that was cut may take to read why, in ms. */
const CUT_MS = 1000;

/** The websocket with a place for its spark, so that listeners need no closure per client. */
export class SparkSocket extends WebSocket {
  spark: Spark | undefined = undefined;

  /** Replies that wait for the end of the tick go first. */
  override close(code?: number, reason?: string | Buffer): void {
    const { spark } = this;
    if (!spark) return super.close(code, reason);
    spark.flush();
    if (code === 1009 && reason === undefined)
      reason = `message too big (limit ${spark.owner.maxLength} bytes)`;
    super.close(code, reason);
  }

  /** Tell a spark everything that comes. */
  attach(spark: Spark): void {
    this.spark = spark;
    this.on("message", onMessage);
    // after ws, which has told of the messages that end in the chunk by then
    spark.socket.on("data", (chunk: Buffer) => spark.arrive(chunk.length));
    this.on("ping", onControlFrame);
    this.on("pong", onControlFrame);
    this.on("error", onError);
    this.on("close", onClose);
  }

  /** Keep nothing of what still comes, not even the client's answer to the close frame. */
  discardInput(): void {
    const { socket, isCompressed } = this.spark!;
    socket.removeAllListeners("data").resume();
    // the compressor may still have what comes before the close frame
    if (!isCompressed) socket.end();
    const timer = setTimeout(() => this.terminate(), CUT_MS).unref();
    socket.once("close", () => clearTimeout(timer));
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as SparkSocket).spark!.receive(data as Buffer, isBinary);
}

function onControlFrame(this: WebSocket, data: Buffer): void {
  (this as SparkSocket).spark!.receiveControl(data.length);
}

/** Broken frames and broken sockets; ws has closed it already, with a code that says why. */
function onError(): void {}

function onClose(this: WebSocket): void {
  const { spark } = this as SparkSocket;
  spark!.forgetUnfinished();
  spark!.owner.onGone(spark!);
  spark!.emit("end");
}
