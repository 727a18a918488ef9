/** The output to one TCP client: lines, files between them, and the last line. */
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { settings } from "../../config/settings";
import { Outbox, ALL_EXCEED } from "../outbox";
import type { SocketClient } from "./client";
import type { ActionProcessor } from "../../action/actionProcessor";
import { ActionsStatus } from "../../action/status";
import { encodeOnce } from "../../exposure/json";
import { wordedError } from "../../config/errorMessage";
import { httpFactsOf, toError } from "../../errors";
import { clientErrorLevel } from "../../exposure/errors";
import { isRefusalLogged } from "../../log/refusals";
import type { StaticFileResult } from "../../staticFile/staticFile";
import { encodePlainReply, warnOfEnvelope } from "../jsonRequest";
import { actionReply, encodeMessage, errorReply } from "./protocol";
import { destroyAfter } from "../drain";

/** How long a client may read nothing while its last bytes are sent, in ms. */
const END_TIMEOUT_MS = 10_000;

export class Output extends Outbox<string> {
  private isEnded = false;
  private file?: Promise<void>;

  constructor(
    socket: Socket,
    private readonly client: SocketClient,
  ) {
    super(socket);
  }

  /** The goodbye has been sent; no further output is possible. */
  get hasEnded(): boolean {
    return this.isEnded;
  }

  get isSendingFile(): boolean {
    return this.file !== undefined;
  }

  protected override get isCorked(): boolean {
    return this.isSendingFile;
  }

  override send(text: string): void {
    if (!this.isEnded && !this.socket.destroyed) super.send(text);
  }

  /** Send raw bytes. */
  async sendBytes(bytes: Buffer): Promise<void> {
    while (this.file) await this.file;
    if (this.isEnded || this.socket.destroyed) return;
    this.flush();
    if (bytes.length > 0) this.write(bytes);
  }

  /**
   * Send the bytes of a stream; texts wait for its end.
   * @throws the error of the stream; the client is disconnected, because it cannot know which bytes are missing
   */
  async sendStream(source: Readable): Promise<void> {
    while (this.file) await this.file;
    if (this.isEnded || this.socket.destroyed) {
      source.destroy();
      return;
    }
    this.flush();
    const sent = this.pump(source);
    this.file = sent.then(forget, forget);
    try {
      await sent;
    } finally {
      this.file = undefined;
      this.flush();
    }
  }

  /** Send a last text and close; a client that does not close its side in time is disconnected. */
  end(text: string): void {
    if (this.isEnded) return;
    const { socket } = this;
    const queued = this.take() ?? "";
    const last = this.file ? "" : queued + text;
    this.isEnded = true;
    if (socket.destroyed) return;
    const linger = () => {
      socket.resume(); // closing with unread bytes would reset the connection and discard sent bytes
      destroyAfter(socket);
    };
    socket.pause();
    this.watchProgress(Math.min(this.timeout() || Infinity, END_TIMEOUT_MS));
    socket.once("finish", linger);
    socket.end(last);
  }

  protected override join(texts: string[]): string {
    return texts.join("");
  }

  protected override limit(): number {
    return settings().socket.maxBufferedBytes;
  }

  protected override timeout(): number {
    return settings().socket.sendTimeout;
  }

  protected override onBehind(isBehind: boolean): void {
    if (!this.isEnded) this.client.onBlocked(isBehind);
  }

  protected override onOverflow(bytes: number): void {
    this.cut(`${bytes} bytes wait for it`);
  }

  protected override onSlowest(bytes: number): void {
    this.cut(`${bytes} bytes wait for it, and ${ALL_EXCEED}`);
  }

  protected override onStalled(): void {
    this.cut(`it read nothing for ${this.socket.timeout} ms`);
  }

  private cut(reason: string): void {
    this.isEnded = true;
    this.discard();
    this.socket.destroy();
    this.client.onCut(reason);
  }

  private pump(source: Readable): Promise<void> {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        if (!this.isBehind) socket.setTimeout(0);
        source.resume();
      };
      const settle = (error?: Error) => {
        socket.off("drain", onDrain);
        socket.off("close", onClose);
        source.destroy();
        if (!error) return resolve();
        socket.destroy();
        reject(error);
      };
      const onClose = () => settle();
      socket.on("drain", onDrain);
      socket.on("close", onClose);
      source.on("data", (chunk: Buffer | string) => {
        if (!socket.writable) return settle();
        if (socket.write(chunk)) return;
        source.pause();
        this.watchProgress(this.timeout());
      });
      source.once("end", () => settle());
      source.once("error", settle);
    });
  }
}

function forget(): void {
  // the next turn starts however the previous one ended
}

// --- Sends messages, failures and files to a client.

type MessageId = string | number;

/** Send a message; if it cannot be encoded, send an error instead. */
export function send(client: SocketClient, message: unknown): void {
  const fail = (error: unknown) => {
    const { messageId } = (message ?? {}) as { messageId?: MessageId };
    sendFailure(client, error, messageId);
  };
  try {
    sendEncoded(client, message)?.catch(fail);
  } catch (error) {
    fail(error);
  }
}

/**
 * Send a message.
 * @returns a promise only if the project's error serializer is async
 * @throws TypeError for values that JSON cannot represent: circular references, BigInt
 */
export function sendEncoded(
  client: SocketClient,
  sent: unknown,
): Promise<void> | undefined {
  const message = settings().socket.legacyReplies
    ? inLegacyForm(sent, client.lineCount)
    : sent;
  const text =
    typeof message === "object" && message !== null
      ? encodeOnce(message, "socket", encodeMessage)
      : encodeMessage(message);
  if (typeof text !== "string")
    return text.then((late) => client.output.send(late));
  client.output.send(text);
  return undefined;
}

/** Send the response of an action. */
export function sendReply(client: SocketClient, data: ActionProcessor): void {
  const { messageId, actionStatus } = data;
  const response: unknown = data.response;
  let text: string | undefined;
  try {
    if (!settings().socket.legacyReplies)
      text = encodePlainReply(response, messageId);
  } catch (error) {
    sendFailure(client, error, messageId);
    return;
  }
  if (text !== undefined) {
    client.output.send(`${text}\r\n`);
    return;
  }
  warnOfEnvelope(data);
  const hasFailed = actionStatus !== ActionsStatus.Complete;
  send(client, actionReply(response, messageId, hasFailed));
}

/**
 * Send an error for a request that could not be processed.
 * @param messageId undefined if there was no request; then the error is only logged
 */
export function sendFailure(
  client: SocketClient,
  error: unknown,
  messageId: MessageId | undefined,
): void {
  const shown = client.server.failedResponse(error);
  if (messageId === undefined) return;
  const reply = errorReply(toError(shown).message, messageId);
  client.output.send(`${JSON.stringify(reply)}\r\n`);
}

/** Tell a client why the `create` middleware refuses it, if the error has a status and is therefore meant for it. */
export function sendRefusal(client: SocketClient, error: unknown): void {
  const { status = 0 } = httpFactsOf(error);
  if (status >= 400)
    send(client, { context: "api", error: toError(error).message });
}

/** Tell a client that its line is longer than `maxDataLength`. */
export async function refuseLength(
  client: SocketClient,
  received: number,
  messageId: MessageId,
): Promise<void> {
  const { server } = client;
  const max = settings().socket.maxDataLength;
  const worded = await wordedError("dataLengthTooLarge", max, received);
  const error = typeof worded === "string" ? worded : toError(worded).message;
  const to = client.connection?.remoteIP;
  const refused = { type: server.type, source: client, to };
  const level = clientErrorLevel();
  if (isRefusalLogged(refused, { what: "lines", level }))
    server.log(error, level, { to });
  send(client, { status: "error", ...errorReply(error, messageId) });
}

/** Send only the bytes of a file, or an error instead. */
export async function sendFound(
  client: SocketClient,
  found: StaticFileResult,
  messageId: MessageId,
): Promise<void> {
  if (found.error) {
    send(client, errorReply(found.error, messageId));
    return;
  }
  if (found.content) {
    await client.output.sendBytes(found.content);
    found.sent?.();
    return;
  }
  try {
    await client.output.sendStream(found.fileStream!);
  } catch {
    // already logged; the client was disconnected, because no error can be sent amid the bytes
  }
}

// --- `config.socket.legacyReplies`: adds the fields that version 3 sent to TCP clients.

/** The old field names for the data of verbs. */
const DATA_NAMES: Record<string, string> = {
  paramsView: "params",
  detailsView: "details",
  roomView: "roomStatus",
};

/** The data of a verb under its old name. */
export function legacyFields(verb: string, data: unknown): object {
  return Object.hasOwn(DATA_NAMES, verb) ? { [DATA_NAMES[verb]!]: data } : {};
}

/**
 * A message with `messageCount`, and `status: "OK"` for a reply without an error.
 * @param count the number of received lines; for a reply the number of its own line, if known
 */
function inLegacyForm(message: unknown, count: number): unknown {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    return message;
  const { context, error, messageId } = message as Record<string, unknown>;
  const isReply = context === "response";
  const status = isReply && !error ? { status: "OK" } : {};
  const messageCount =
    isReply && typeof messageId === "number" ? messageId : count;
  return { ...status, ...message, messageCount };
}
