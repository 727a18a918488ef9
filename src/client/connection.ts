/** The interface of persistent connections: websocket and TCP. */
import {
  abortable,
  DEFAULT_TIMEOUT,
  timerMs,
  type Call,
  type Reply,
  type Send,
  ClientError,
} from "./call";
import type {
  ConnectionEvents,
  CreateClientOptions,
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

/** Calls that wait for the connection, or for their turn. */
export const QUEUE_SIZE = 1_000;

/** The default of `general.simultaneousActions`: the server refuses more of one connection. */
const SIMULTANEOUS_CALLS = 5;

interface WaitingCall {
  start: () => void;
  reject: (reason: Error) => void;
}

export interface StartedCall {
  /** Take it out of the queue of the connection. @returns the error of a call that was never sent */
  withdraw(): Error | undefined;
  /** Nobody waits for its response any more. */
  forget(): void;
}

type Start = (
  resolve: (reply: Reply) => void,
  reject: (reason: Error) => void,
) => StartedCall;

/** Limits the calls in progress per connection, because the server refuses more than its own limit; further calls are queued. */
export class CallLimit {
  readonly #max: number;
  readonly #queueSize: number;
  readonly #waiting = new Set<WaitingCall>();
  #inProgress = 0;

  constructor({ simultaneousCalls, queueSize }: CreateClientOptions) {
    this.#max = simultaneousCalls ?? SIMULTANEOUS_CALLS;
    this.#queueSize = queueSize ?? QUEUE_SIZE;
  }

  run({ name, signal }: Call, start: Start): Promise<Reply> {
    return abortable<Reply>(signal, (resolve, reject) => {
      let started: StartedCall | undefined;
      let done: () => void;
      const waiting: WaitingCall = {
        reject,
        start: () => {
          done = this.#begin();
          const andThen =
            <Value>(settle: (value: Value) => void) =>
            (value: Value) => {
              done();
              settle(value);
            };
          started = start(andThen(resolve), andThen(reject));
        },
      };
      if (this.#inProgress < this.#max) waiting.start();
      else if (this.#waiting.size < this.#queueSize) this.#waiting.add(waiting);
      else reject(tooManyWait());
      return () => {
        if (this.#waiting.delete(waiting))
          return signal.reason instanceof ClientError
            ? new ClientError("UNREACHABLE", `${name} waited for other calls`)
            : undefined;
        const failure = started?.withdraw();
        if (failure) done();
        // the server may still be working on it
        else
          whenLate(() => {
            started?.forget();
            done();
          });
        return failure;
      };
    });
  }

  /** Reject the calls that wait for their turn. */
  fail(reason: Error): void {
    const calls = [...this.#waiting];
    this.#waiting.clear();
    for (const { reject } of calls) reject(reason);
  }

  /** @returns to be called when the call is no longer in progress; further calls do nothing */
  #begin(): () => void {
    this.#inProgress++;
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      this.#inProgress--;
      const [next] = this.#waiting;
      if (!next) return;
      this.#waiting.delete(next);
      next.start();
    };
  }
}

/** How long a call without a caller keeps its turn: the server may never respond to it. In ms. */
const LONGEST_TURN = 60_000;

function whenLate(done: () => void): void {
  const timer: unknown = setTimeout(done, LONGEST_TURN);
  (timer as { unref?: () => void }).unref?.(); // a number in browsers
}

export function tooManyWait(): ClientError {
  return new ClientError(
    "UNREACHABLE",
    "too many calls wait for the connection",
  );
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
