/** The interface of persistent connections: websocket and TCP. */
import { timerMs, type Send, ClientError } from "./call";
import type {
  ConnectionEvents,
  ConnectionState,
  RoomMessage,
  Rooms,
  RoomView,
} from "./types";

export interface Connection {
  readonly send: Send;
  readonly state: ConnectionState;
  connect(): Promise<void>;
  close(): void;
  /** `roomAdd`, `roomLeave`, `roomView`: their `data`. */
  verb(name: string, room: string): Promise<unknown>;
  say(room: string, message: unknown): Promise<void>;
  readonly events: Events;
}

/** The default timeout of a call and of `connect()`, in ms. */
export const DEFAULT_TIMEOUT = 60_000;

type Said = (message: RoomMessage) => void;

/** The listeners of a connection. */
export class Events {
  readonly #listeners = new Map<string, Set<(...args: never[]) => void>>();
  readonly #rooms = new Map<string, Set<Said>>();
  readonly #failures = new Map<string, Set<(reason: Error) => void>>();
  /** The reason for not being connected; undefined while connected. */
  lastError: Error | undefined;

  on<Event extends keyof ConnectionEvents>(
    event: Event,
    listener: ConnectionEvents[Event],
  ): () => void {
    return add(this.#listeners, event, listener);
  }

  onRoom(room: string, listener: Said): () => void {
    return add(this.#rooms, room, listener);
  }

  emit<Event extends keyof ConnectionEvents>(
    event: Event,
    ...args: Parameters<ConnectionEvents[Event]>
  ): void {
    if (event === "error") this.lastError = args[0] as Error;
    if (event === "connected") this.lastError = undefined;
    for (const listener of [...(this.#listeners.get(event) ?? [])])
      listener(...(args as never[]));
  }

  /** @returns a function that removes the listener */
  onFailure(listener: (reason: Error) => void): () => void {
    return add(this.#failures, "", listener);
  }

  /** Reject all waits for the connection. */
  fail(reason: Error): void {
    for (const listener of [...(this.#failures.get("") ?? [])])
      listener(reason);
  }

  /** A message that no call waits for. */
  receive(message: unknown): void {
    this.emit("message", message);
    const { context, room } = Object(message) as Record<string, unknown>;
    if (context !== "user" || typeof room !== "string") return;
    const { message: said, from, sentAt } = message as RoomMessage<unknown>;
    for (const listener of [...(this.#rooms.get(room) ?? [])])
      listener({ message: said, room, from, sentAt });
  }
}

function add<Listener>(
  map: Map<string, Set<Listener>>,
  key: string,
  listener: Listener,
): () => void {
  const listeners = map.get(key) ?? new Set();
  map.set(key, listeners.add(listener));
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && map.get(key) === listeners) map.delete(key);
  };
}

export function roomsOf<Table>(connection: Connection): Rooms<Table> {
  return {
    join: async (room: string) => void (await connection.verb("roomAdd", room)),
    leave: async (room: string) =>
      void (await connection.verb("roomLeave", room)),
    view: async (room: string) =>
      (await connection.verb("roomView", room)) as RoomView,
    say: (room: string, message: unknown) => connection.say(room, message),
    on: (room: string, listener: Said) =>
      connection.events.onRoom(room, listener),
  } as Rooms<Table>;
}

/** Wait for the connection; after a timeout, attempts continue. */
export function untilConnected(
  events: Events,
  timeout = DEFAULT_TIMEOUT,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const ends = [
      events.on("connected", () => settle(resolve)),
      events.onFailure((reason) => settle(() => reject(reason))),
    ];
    const timer =
      timeout > 0
        ? setTimeout(() => {
            const text = `no connection in ${timeout} ms`;
            const error = new ClientError("UNREACHABLE", text, {
              cause: events.lastError,
            });
            settle(() => reject(error));
          }, timerMs(timeout))
        : undefined;
    const settle = (how: () => void) => {
      clearTimeout(timer);
      for (const end of ends) end();
      how();
    };
  });
}

/** HTTP: calls only. */
export function connectionless(send: Send): Connection {
  const refuse = () =>
    Promise.reject(
      new ClientError("UNSUPPORTED", "rooms need a ws:// or a tcp:// server"),
    );
  return {
    send,
    state: "connected",
    connect: () => Promise.resolve(),
    close: () => undefined,
    verb: refuse,
    say: refuse,
    events: new Events(),
  };
}
