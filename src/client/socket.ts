/** Calls over TCP and TLS, for node: lines of JSON (docs/wire-protocol-socket.md). */
import * as net from "node:net";
import * as tls from "node:tls";
import {
  abortable,
  jsonOf,
  unsent,
  messageParams,
  type Reply,
  type Call,
  timerMs,
  ActionError,
  ClientError,
} from "./call";
import {
  CallLimit,
  Events,
  QUEUE_SIZE,
  tooManyWait,
  untilConnected,
  type Connection,
  type StartedCall,
} from "./connection";
import { hasFiles } from "./multipart";
import type { CreateClientOptions, ConnectionState } from "./types";

const DEFAULT_PORT = 5000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** How long one attempt to connect may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;
/** The longest accepted line of a server, in characters. */
const MAX_LINE = 64 * 1024 * 1024;

interface Pending {
  line: string;
  resolve: (response: Record<string, unknown>) => void;
  reject: (error: Error) => void;
}

export function socketConnection(
  url: string,
  options: CreateClientOptions,
): Connection {
  return new SocketConnection(new URL(url), options);
}

class SocketConnection implements Connection {
  readonly events = new Events();
  state: ConnectionState = "disconnected";

  readonly #url: URL;
  readonly #options: CreateClientOptions;
  #socket: net.Socket | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #text = "";
  /** The number of sent lines on this connection: the number of a line is the id of its response. */
  #lines = 0;
  readonly #sent = new Map<number, Pending>();
  #waiting: Pending[] = [];
  readonly #rooms = new Set<string>();
  readonly #limit: CallLimit;

  constructor(url: URL, options: CreateClientOptions) {
    this.#url = url;
    this.#options = options;
    this.#limit = new CallLimit(options);
  }

  send = async (call: Call): Promise<Reply> => {
    const { name, params, signal } = call;
    if (hasFiles(params))
      throw new ClientError("UNSUPPORTED", "files go over HTTP");
    // the id of a response is the number of its line, but the server would use the param instead
    if (params.messageId !== undefined)
      throw new ClientError(
        "UNSUPPORTED",
        "messageId is no param over TCP: there it is the id of a request",
      );
    const line = jsonOf(name, { action: name, params: messageParams(call) });
    return this.#limit.run(call, (resolve, reject) =>
      this.#ask(line, signal, {
        resolve: (body) => resolve({ body }),
        reject,
      }),
    );
  };

  connect(): Promise<void> {
    this.#open();
    if (this.state === "connected") return Promise.resolve();
    return untilConnected(this.events, this.#options.timeout);
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#rooms.clear();
    this.#retry = undefined;
    this.#limit.fail(new ClientError("CLOSED", "the client is closed"));
    this.#fail("CLOSED", "the client is closed");
    this.events.fail(new ClientError("CLOSED", "the client is closed"));
    for (const { reject } of this.#waiting.splice(0))
      reject(new ClientError("CLOSED", "the client is closed"));
    this.#drop()?.end("quit\n");
    this.#moveTo("disconnected");
  }

  async verb(name: string, room: string): Promise<unknown> {
    if (name === "roomLeave") this.#rooms.delete(room);
    const { data } = await this.#checked(verbLine(name, room));
    if (name === "roomAdd") this.#rooms.add(room);
    return data;
  }

  async say(room: string, message: unknown): Promise<void> {
    const isLine = typeof message === "string" && !/[\r\n]/.test(message);
    await this.#checked(
      isLine && isWord(room)
        ? `say ${room} ${message}`
        : jsonOf("say", { event: "say", room, message }),
    );
  }

  async #checked(line: string): Promise<Record<string, unknown>> {
    const { timeout = 60_000 } = this.#options;
    const signal =
      timeout > 0
        ? AbortSignal.timeout(timerMs(timeout))
        : new AbortController().signal;
    const response = await abortable<Record<string, unknown>>(
      signal,
      (resolve, reject) => {
        const asked = this.#ask(line, signal, { resolve, reject });
        return () => asked.withdraw();
      },
    );
    if (response.error !== undefined) throw new ActionError(response);
    return response;
  }

  #ask(
    line: string,
    signal: AbortSignal,
    { resolve, reject }: Omit<Pending, "line">,
  ): StartedCall {
    this.#open();
    const pending = { line, resolve, reject };
    if (this.state === "connected") this.#write(pending);
    else if (this.#waiting.length < (this.#options.queueSize ?? QUEUE_SIZE))
      this.#waiting.push(pending);
    else reject(tooManyWait());
    return {
      withdraw: () => {
        const before = this.#waiting.length;
        this.#waiting = this.#waiting.filter((one) => one !== pending);
        if (this.#waiting.length === before) return undefined;
        return unsent(signal, this.events.lastError);
      },
      forget: () => {
        for (const [id, sent] of this.#sent)
          if (sent === pending) this.#sent.delete(id);
      },
    };
  }

  #write(pending: Pending): void {
    this.#sent.set(++this.#lines, pending);
    this.#socket!.write(`${pending.line}\n`);
  }

  #open(): void {
    if (this.#socket || this.#retry) return;
    this.#connect();
  }

  #connect(): void {
    this.#retry = undefined;
    this.#moveTo("connecting");
    const { hostname, port, protocol } = this.#url;
    const address = {
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port) || DEFAULT_PORT,
    };
    const socket =
      protocol === "tls:"
        ? tls.connect({
            servername: net.isIP(address.host) ? "" : address.host,
            ...this.#options.tls,
            ...address,
          })
        : net.connect(address);
    this.#socket = socket;
    this.#text = "";
    this.#lines = 0;
    socket.setEncoding("utf8");
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.setTimeout(CONNECT_TIMEOUT_MS, () =>
      socket.destroy(new Error("the server does not answer")),
    );
    socket.on("data", (text) => this.#receive(String(text)));
    socket.on("error", (error: Error) => this.events.emit("error", error));
    socket.on("close", () => {
      if (this.#socket === socket) this.#lost();
    });
  }

  /** The welcome means that the server accepts requests. */
  #welcomed(): void {
    this.#socket!.setTimeout(0);
    this.#attempt = 0;
    for (const room of this.#rooms)
      this.#write({
        line: verbLine("roomAdd", room),
        resolve: () => undefined,
        reject: () => undefined,
      });
    for (const pending of this.#waiting.splice(0)) this.#write(pending);
    this.#moveTo("connected");
  }

  #receive(text: string): void {
    // a long line comes in many chunks, which must not be searched again and again
    const [first, ...others] = text.split("\n");
    this.#text += first;
    for (const next of others) {
      const line = this.#text;
      this.#text = next;
      if (!this.#socket) return;
      if (line.trim() !== "") this.#message(line);
    }
    if (this.#text.length > MAX_LINE)
      this.#socket?.destroy(new Error("a line of the server is too long"));
  }

  #message(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = Object(JSON.parse(line)) as Record<string, unknown>;
    } catch {
      this.#socket!.destroy(new Error("the server does not speak JSON"));
      return;
    }
    const { context, messageId } = message;
    if (context === "response") {
      const pending = this.#sent.get(messageId as number);
      this.#sent.delete(messageId as number);
      pending?.resolve(message);
      return;
    }
    if (context === "api" && "welcome" in message) this.#welcomed();
    this.events.receive(message);
  }

  /** Retry with a growing, partly random delay, because other clients lost their connection at the same time. */
  #lost(): void {
    this.#drop();
    const { min = FIRST_PAUSE_MS, max = LONGEST_PAUSE_MS } =
      this.#options.reconnect ?? {};
    const longest = Math.min(max, min * 2 ** this.#attempt++);
    this.#retry = setTimeout(
      () => this.#connect(),
      timerMs(longest * (0.5 + Math.random() / 2)),
    );
    const wasConnected = this.state === "connected";
    this.state = "connecting";
    // last, because the next call begins when one has failed, and then waits
    this.#fail(
      "CONNECTION_LOST",
      "the connection was lost before the server answered",
    );
    if (wasConnected) this.events.emit("disconnected");
  }

  #fail(code: "CLOSED" | "CONNECTION_LOST", text: string): void {
    const lost = [...this.#sent.values()];
    this.#sent.clear();
    for (const { reject } of lost) reject(new ClientError(code, text));
  }

  #drop(): net.Socket | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.removeAllListeners("data");
    return socket;
  }

  #moveTo(state: ConnectionState): void {
    const before = this.state;
    this.state = state;
    if (state === "connected") this.events.emit("connected");
    else if (before === "connected") this.events.emit("disconnected");
  }
}

/** As words where that is possible: servers of version 29 do not take JSON for it. */
function verbLine(event: string, room: string): string {
  return isWord(room) ? `${event} ${room}` : JSON.stringify({ event, room });
}

function isWord(room: string): boolean {
  return !/[ \r\n]/.test(room);
}
