/** The websocket of ws, as sparks need it. */
import { WebSocket } from "ws";
import type { Spark } from "./spark";

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
    this.on("ping", onControlFrame);
    this.on("pong", onControlFrame);
    this.on("error", onError);
    this.on("close", onClose);
  }
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  (this as SparkSocket).spark!.receive(data as Buffer, isBinary);
}

function onControlFrame(this: WebSocket): void {
  (this as SparkSocket).spark!.isTooFast();
}

/** Broken frames and broken sockets; ws has closed it already, with a code that says why. */
function onError(): void {}

function onClose(this: WebSocket): void {
  const { spark } = this as SparkSocket;
  spark!.owner.onGone(spark!);
  spark!.emit("end");
}
