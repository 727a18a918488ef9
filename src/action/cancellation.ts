/** Ends an action early: at its `timeout`, or when its client disconnects. */
import { AsyncResource } from "node:async_hooks";
import { api } from "../api";
import type { Connection } from "../connection/connection";
import { onDisconnect } from "../connection/calls";
import { StatusError, toError } from "../errors";
import { log } from "../log/log";

/** The timer and signal of an action; created only for actions that need it. */
export class Cancellation {
  /** Set when the time has passed. */
  timeout: StatusError | undefined = undefined;
  /** Whether the time of the action is counted at the moment. */
  isTimed = false;
  /** Called when the part that was given up at the timeout has ended. */
  onLateEnd: () => void = () => undefined;
  private controller: AbortController | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  private giveUp: ((error: Error) => void) | undefined = undefined;
  private stopListening: (() => void) | undefined = undefined;
  private hasEnded = false;

  constructor(private readonly connection: Connection) {}

  /** Created at the first access. */
  get signal(): AbortSignal {
    if (this.controller) return this.controller.signal;
    const controller = (this.controller = new AbortController());
    if (this.timeout) controller.abort(this.timeout);
    else if (this.connection.destroyed) controller.abort(clientLeft());
    else if (!this.hasEnded)
      // listeners of the signal belong to the action, not to the socket whose end calls them
      this.stopListening = onDisconnect(
        this.connection,
        AsyncResource.bind(() => controller.abort(clientLeft())),
      );
    return controller.signal;
  }

  /** Begin to count the time of the action. */
  startTimer(timeoutMs: number): void {
    this.isTimed = true;
    // after a pause of this process, a result that has already arrived still counts
    this.timer = setTimeout(
      () => setImmediate(() => this.expire(timeoutMs)),
      timeoutMs,
    );
  }

  /**
   * Wait for a part of the action, until the time has passed.
   * @param name of the action, for the log
   */
  untilTimeout<T>(work: PromiseLike<T>, name: string | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const giveUp = (error: Error) => {
        watchAbandoned(work, name, this.onLateEnd);
        reject(error);
      };
      const forget = () => {
        if (this.giveUp === giveUp) this.giveUp = undefined;
      };
      this.giveUp = giveUp;
      work.then(forget, forget);
      work.then(resolve, reject);
    });
  }

  /** Stop the timer: the response is known. */
  stopTimer(): void {
    clearTimeout(this.timer);
    this.isTimed = false;
  }

  /** The action has ended. */
  end(): void {
    this.hasEnded = true;
    this.stopListening?.();
  }

  private expire(timeoutMs: number): void {
    if (!this.isTimed) return;
    this.timeout = new StatusError(
      "AH_ACTION_TIMEOUT",
      `the action did not end within ${timeoutMs} ms`,
      503,
    );
    this.controller?.abort(this.timeout);
    this.giveUp?.(this.timeout);
  }
}

/**
 * The error of an action. If it threw an AbortError whose cause is the reason of its signal, as `node:timers/promises`
 * does, the reason.
 */
export function failureOf(thrown: unknown): unknown {
  const { name, cause } = (thrown ?? {}) as { name?: unknown; cause?: unknown };
  return name === "AbortError" && cause instanceof StatusError ? cause : thrown;
}

/** Whether an action failed because its caller no longer waits. */
export function hasClientLeft(error: unknown): boolean {
  return error instanceof StatusError && error.code === "AH_CLIENT_LEFT";
}

/**
 * Watches an action that continues after its timeout: it still counts for `general.overload`, and its error is logged.
 */
function watchAbandoned(
  work: PromiseLike<unknown>,
  name: string | null,
  onEnd: () => void,
): void {
  const { overload } = api;
  overload?.enter();
  const leave = () => {
    overload?.leave();
    onEnd();
  };
  work.then(leave, (error: unknown) => {
    leave();
    if (failureOf(error) instanceof StatusError) return; // it stopped because of its signal
    log(
      `an action failed after its timeout: ${toError(error).message}`,
      "notice",
      { action: name },
    );
  });
}

function clientLeft(): StatusError {
  return new StatusError("AH_CLIENT_LEFT", "the client has left", 499);
}
