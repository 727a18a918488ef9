/** Runs one action for one connection: checks, middleware, params, the action itself, the error, the log line. */
import { api } from "../api";
import { settings } from "../config/settings";
import { forgetCalls, takeFailedCall } from "../connection/calls";
import type { Connection } from "../connection/connection";
import { errorText } from "../errors";
import type { ParamsFrom } from "../input/types";
import { log } from "../log/log";
import type { Overload } from "../overload/overload";
import { traceMiddleware, tracing } from "../tracing/tracer";
import { isThenable, promiseOf } from "../utils/promises";
import type { Action } from "./action";
import {
  countAsRunning,
  countRefused,
  findAction,
  refusalOf,
  serverOf,
} from "./admission";
import { Cancellation, failureOf } from "./cancellation";
import { checkParams, isOfParams, lockAndJudge } from "./checkParams";
import { runOnce } from "./idempotency";
import { fitted, outputOf } from "./output";
import {
  errorLogLine,
  type ErrorLogLine,
  listErrors,
  measureAction,
  reportAction,
} from "./report";
import {
  addToResponse,
  attachStatus,
  hideOwnError,
  putError,
} from "./response";
import { traceAction, traceOutcome } from "./spans";
import { ActionsStatus, errorForStatus } from "./status";

const NO_MIDDLEWARE: string[] = [];
const UNNAMED: Pick<Partial<InLineCall>, "actionName" | "apiVersion"> = {};

/** Live lists: middleware may be added during the iteration. */
type MiddlewareNames = [global: readonly string[], local: readonly string[]];

/** Not an enumerable property of `data`. */
const CANCELLATION = Symbol("cancellation");

/** `this`, or the result of an in-line call; a promise only if something has to be waited for. */
type Outcome = unknown;

/** One run of an action. */
interface Call extends Readonly<CallOptions> {
  /** The params of the connection when the request arrived. */
  readonly arrivedParams: object;
  overload: Overload | undefined;
  /** The session store of this run; a restart in this process creates another. */
  sessions: (typeof api)["storedSessions"];
  /** The promise of the action does not reject. */
  isGuarded: boolean;
}

interface Emitter {
  emit(event: "actionComplete", data: ActionProcessor): boolean;
}

type LateErrors = (data: ActionProcessor, error: unknown) => unknown;

/** Who runs an action. */
interface CallOptions {
  server: Emitter | undefined;
  /** Takes an error of a listener that comes later; undefined: the promise of the action rejects. */
  onLateError: LateErrors | undefined;
  inLine: InLineCall | undefined;
}

/** A caller within the process. */
export interface InLineCall {
  readonly actionName: string | undefined;
  readonly apiVersion: string | number | undefined;
  /** ms since the epoch; undefined: some time ago. */
  readonly startedAt: number | undefined;
  /**
   * The response is complete.
   * @returns the result of the run, or a promise of it
   * @throws the error of the action
   */
  resultOf(data: ActionProcessor): unknown;
  /** @returns the error, by a promise, when its connection is destroyed */
  fail(error: unknown): Promise<never>;
}

/** The `data` that actions and their middleware get. */
export class ActionProcessor<ActionClass extends Action = any> {
  connection: Connection;
  action: string | null = null;
  /** Middleware sets it to false to skip the action. */
  toProcess = true;
  /** Set it to false to send nothing: the action sends its own response. */
  toRender = true;
  messageId: string | number;
  params: ParamsFrom<ActionClass> & { [key: string]: any };
  missingParams: string[] = [];
  validatorErrors: any[] = [];
  /** ms since the epoch. */
  actionStartTime: number | null = null;
  actionTemplate: ActionClass | null = null;
  working = false;
  /** The response to the client. */
  response: any = {};
  /** ms. */
  duration: number | null = null;
  actionStatus: ActionsStatus | null = null;
  /** Values that middleware passes to the action. */
  session: any = {};
  private [CANCELLATION]: Cancellation | undefined = undefined;
  /** The params as built by the constructor, safe to modify in place; cleared when they are checked. */
  #ownParams: object | undefined;

  constructor(connection: Connection) {
    this.connection = connection;
    this.messageId = connection.messageId || 0;
    // a snapshot, because the requests of one connection run concurrently, each with its own params. A request that
    // will be refused gets only action and version: a client can repeat it without sending its params again
    const { action = null, apiVersion = null } = (connection.params ?? {}) as {
      action?: unknown;
      apiVersion?: unknown;
    };
    this.params = (
      connection.pendingActions >= settings().general.simultaneousActions
        ? { action, apiVersion }
        : {
            action,
            apiVersion,
            ...(connection.params as object),
          }
    ) as ActionProcessor<ActionClass>["params"];
    this.#ownParams = this.params;
  }

  /** `connection.store`: the stored session of the client; undefined without `session.enabled`. */
  get store(): Connection["store"] {
    return this.connection.store;
  }

  /** Middleware of version 29 may keep something of its own here. */
  set store(store: Connection["store"]) {
    Object.defineProperty(this, "store", {
      configurable: true,
      enumerable: true,
      writable: true,
      value: store,
    });
  }

  getPendingActionCount(): number {
    return this.connection.pendingActions;
  }

  /** Aborted when the `timeout` of the action has passed, and when the client leaves before the response. */
  get signal(): AbortSignal {
    return this.cancellation().signal;
  }

  private cancellation(): Cancellation {
    return (this[CANCELLATION] ??= new Cancellation(this.connection));
  }

  /** Freeze the params, so that the action sees the original request. */
  lockParams(): void {
    this.params = Object.freeze(this.params) as typeof this.params;
  }

  /** Undefined if `this` is a project's Proxy, which has no private fields. */
  private takeOwnParams(): object | undefined {
    if (!(#ownParams in this)) return undefined;
    const own = this.#ownParams;
    this.#ownParams = undefined;
    return own;
  }

  /**
   * Run the action named by the arguments, else by the params.
   * @returns this, when the response is complete; an action's error is in `response.error`, nothing is thrown
   */
  processAction(
    actionName?: string,
    apiVersion?: string | number,
  ): Promise<this> {
    const { tracer } = tracing;
    const call = this.callFor(undefined, undefined, undefined);
    const run = () =>
      promiseOf(
        () => this.process(call, actionName, apiVersion) as Promise<this>,
      );
    return tracer ? traceAction(tracer, this, run) : run();
  }

  private callFor(
    server: Emitter | undefined,
    onLateError: LateErrors | undefined,
    inLine: InLineCall | undefined,
  ): Call {
    // another request of the client may replace the params of the connection
    const arrivedParams = this.connection.params;
    return {
      server,
      onLateError,
      inLine,
      arrivedParams,
      overload: undefined,
      sessions: undefined,
      isGuarded: false,
    };
  }

  /**
   * Actions without middleware, timeout, stored session and idempotency key take the fast path `runSync()`, which creates
   * no promise beside that of `run`, since each `async` function on the hot path costs 1 % of a request. The steps are those
   * of `runSteps()`.
   * @returns a promise only if something has to be waited for
   * @throws errors of the listeners of `actionComplete`, at once or by the promise
   */
  private process(
    call: Call,
    actionName?: string,
    apiVersion?: string | number,
  ): Outcome {
    const { connection } = this;
    this.actionStartTime = call.inLine?.startedAt ?? Date.now();
    this.working = true;
    connection.totalActions++;
    connection.pendingActions++;
    findAction(this, actionName, apiVersion);
    const refusal = refusalOf(this);
    if (refusal !== undefined) return this.refuse(call, refusal);
    const isRunOnly = this.isRunOnly();
    call.overload = countAsRunning(connection);
    return isRunOnly ? this.runSync(call) : this.runWithMiddleware(call);
  }

  /** Whether there is nothing to do before, around or after `run`. */
  private isRunOnly(): boolean {
    const { timeout, idempotent } = this.actionTemplate!;
    return !timeout && !idempotent && this.middlewareNames() === undefined;
  }

  private runSync(call: Call): Outcome {
    let status: ActionsStatus | undefined;
    let response: unknown;
    let isLate: boolean;
    try {
      const opened = this.openSession(call);
      if (opened) return this.runWithMiddleware(call, opened);
      const checks = checkParams(
        this,
        call.arrivedParams,
        this.takeOwnParams(),
      );
      if (checks) return this.runAfterChecks(call, checks);
      status = lockAndJudge(this);
      if (status === undefined) response = this.runFitted();
      isLate = isThenable(response);
    } catch (error) {
      return this.finishWithError(call, error);
    }
    // outside of the `try`: what listeners throw must not end the action a second time
    if (status !== undefined) return this.finish(call, status);
    if (!isLate) return this.finishWithResponse(call, response);
    call.isGuarded = isGuarding(call);
    return Promise.resolve(response).then(
      (late) => this.finishAsync(call, late, undefined),
      (error: unknown) => this.finishAsync(call, undefined, { error }),
    );
  }

  /** Finish an action whose `run` returned a promise. @param failure what it threw, if it did */
  private finishAsync(
    call: Call,
    response: unknown,
    failure: { error: unknown } | undefined,
  ): Outcome {
    try {
      const outcome = failure
        ? this.finishWithError(call, failure.error)
        : this.finishWithResponse(call, response);
      if (!isGuarding(call) || !isThenable(outcome)) return outcome;
      return outcome.then(undefined, (error: unknown) =>
        this.failCaller(call, error),
      );
    } catch (error) {
      return this.failCaller(call, error);
    }
  }

  /** Give the caller the error of a listener of `actionComplete`, or of an in-line action. */
  private failCaller({ onLateError, inLine }: Call, error: unknown): Outcome {
    if (inLine) return inLine.fail(error);
    if (!onLateError) throw error;
    return onLateError(this, error);
  }

  /** The rest of `runSync()`, after checks that are async. */
  private async runAfterChecks(
    call: Call,
    checks: PromiseLike<void>,
  ): Promise<Outcome> {
    let status: ActionsStatus | undefined;
    let response: unknown;
    try {
      await checks;
      status = lockAndJudge(this);
      if (status === undefined) response = await this.runFitted();
    } catch (error) {
      return this.finishWithError(call, error);
    }
    return status === undefined
      ? this.finishWithResponse(call, response)
      : this.finish(call, status);
  }

  /**
   * The way of actions with a timeout, an idempotency key, a stored session, or middleware.
   * @param opening the opening of the session, if it has begun
   */
  private async runWithMiddleware(
    call: Call,
    opening?: Promise<void>,
  ): Promise<Outcome> {
    const { timeout } = this.actionTemplate!;
    const timed = timeout ? this.cancellation() : undefined;
    if (timed) timed.onLateEnd = () => this.saveLate(call);
    timed?.startTimer(timeout!);
    let thrown: unknown;
    let status: ActionsStatus;
    try {
      status = await this.runSteps(call, opening);
    } catch (error) {
      thrown = this.errorOf(error);
      status =
        thrown === timed?.timeout
          ? ActionsStatus.TimedOut
          : ActionsStatus.GenericError;
    }
    timed?.stopTimer();
    return this.finish(call, status, thrown);
  }

  /** @returns how the action ends, unless a step throws */
  private async runSteps(
    call: Call,
    opening: Promise<void> | undefined,
  ): Promise<ActionsStatus> {
    const opened = opening ?? this.openSession(call);
    if (opened) await this.untilTimeout(opened);
    const middleware = this.middlewareNames();
    if (middleware)
      await this.untilTimeout(this.runMiddleware(middleware, "preProcessor"));
    const checks = checkParams(this, call.arrivedParams, this.takeOwnParams());
    if (checks) await this.untilTimeout(checks);
    const status = lockAndJudge(this);
    if (status !== undefined) return status;
    let response: unknown = this.actionTemplate!.idempotent
      ? runOnce(this, call.arrivedParams, () => this.runFitted())
      : this.runFitted();
    if (isThenable(response)) response = await this.untilTimeout(response);
    addToResponse(this, response);
    if (middleware)
      await this.untilTimeout(this.runMiddleware(middleware, "postProcessor"));
    return ActionsStatus.Complete;
  }

  /** @returns a promise only if the client has a stored session */
  private openSession(call: Call): Promise<void> | undefined {
    call.sessions = api.storedSessions;
    return call.sessions?.open(this.connection, this.params);
  }

  /** End an action that may not run. Unknown and blocked actions count for the rate limit. */
  private refuse(call: Call, status: ActionsStatus): Outcome {
    const counted = countRefused(this.connection, status);
    if (!counted) return this.finish(call, status);
    return counted.then((error) =>
      error
        ? this.finish(call, ActionsStatus.GenericError, error)
        : this.finish(call, status),
    );
  }

  // --- The end of an action, in this order: finish(), failOnUnawaited(); for errors wordError(), showError() and
  // respondWithError(); then respond(), which calls record().

  private finishWithResponse(call: Call, response: unknown): Outcome {
    try {
      addToResponse(this, response, false);
    } catch (error) {
      return this.finishWithError(call, error);
    }
    return this.finish(call, ActionsStatus.Complete);
  }

  private finishWithError(call: Call, error: unknown): Outcome {
    return this.finish(call, ActionsStatus.GenericError, this.errorOf(error));
  }

  private errorOf(thrown: unknown): unknown {
    try {
      return (
        failureOf(thrown) ?? new Error(`${this.action} threw ${String(thrown)}`)
      );
    } catch (error) {
      return error; // a getter of the thrown object throws
    }
  }

  /**
   * The outcome of the action is known: save the session.
   * @param thrown the error of an action that failed with one
   */
  private finish(call: Call, status: ActionsStatus, thrown?: unknown): Outcome {
    const saved = call.sessions?.save(this.connection);
    if (!saved) return this.failOnUnawaited(call, status, thrown);
    return saved.then((unsaved) =>
      unsaved === undefined
        ? this.failOnUnawaited(call, status, thrown)
        : this.failOnUnsaved(call, status, [thrown, unsaved]),
    );
  }

  /** The client must not believe that its session was kept; an action that failed keeps its own error. */
  private failOnUnsaved(
    call: Call,
    status: ActionsStatus,
    [thrown, unsaved]: [thrown: unknown, unsaved: unknown],
  ): Outcome {
    if (status === ActionsStatus.Complete) {
      this.response = {};
      return this.failOnUnawaited(call, ActionsStatus.GenericError, unsaved);
    }
    this.logUnsaved(unsaved);
    return this.failOnUnawaited(call, status, thrown);
  }

  /** What an action changes after its timeout is saved when it ends, since no other step of it follows. */
  private saveLate({ sessions }: Call): void {
    void sessions?.save(this.connection)?.then((unsaved) => {
      if (unsaved !== undefined) this.logUnsaved(unsaved);
    });
  }

  private logUnsaved(unsaved: unknown): void {
    log(`the session was not saved: ${errorText(unsaved)}`, "error", {
      action: this.action,
    });
  }

  /** An action fails by a failed call of its connection's methods that it did not await. */
  private failOnUnawaited(
    call: Call,
    status: ActionsStatus,
    thrown: unknown,
  ): Outcome {
    call.overload?.leave();
    const isComplete = status === ActionsStatus.Complete;
    const unawaited = takeFailedCall(this.connection, !isComplete);
    if (unawaited)
      return this.wordError(call, ActionsStatus.GenericError, unawaited.error);
    if (!isComplete) return this.wordError(call, status, thrown);
    return this.respond(call, status);
  }

  /** Ask `config.errors` for the error of the client. */
  private wordError(
    call: Call,
    status: ActionsStatus,
    thrown: unknown,
  ): Outcome {
    let error: unknown;
    try {
      error = errorForStatus(status, this, thrown);
    } catch (failure) {
      return this.showError(call, status, failure, failure); // the project's own message function is broken
    }
    if (!isThenable(error)) return this.showError(call, status, error, thrown);
    return Promise.resolve(error).then(
      (late) => this.showError(call, status, late, thrown),
      (failure: unknown) => this.showError(call, status, failure, failure),
    );
  }

  /** Put the error into the response. */
  private showError(
    call: Call,
    status: ActionsStatus,
    error: unknown,
    thrown: unknown,
  ): Outcome {
    // the action may still modify this object
    if (status === ActionsStatus.TimedOut) this.response = {};
    const errorId = putError(this, error, thrown);
    const listed = isOfParams(status) ? listErrors(this) : undefined;
    if (!listed) return this.respondWithError(call, status, error, errorId);
    return listed.then(() => {
      attachStatus(this, status, error);
      return this.respondWithError(call, status, error, errorId);
    });
  }

  private respondWithError(
    call: Call,
    status: ActionsStatus,
    error: unknown,
    errorId: string | undefined,
  ): Outcome {
    // the action that would have responded has failed, and the client waits
    if (this.toRender !== true && !this.isAnswered()) this.toRender = true;
    return this.respond(call, status, error, errorId);
  }

  private respond(
    { server, inLine }: Call,
    status: ActionsStatus,
    error?: unknown,
    errorId?: string,
  ): Outcome {
    this.record(status, error, errorId ?? hideOwnError(this));
    server?.emit("actionComplete", this);
    return inLine ? inLine.resultOf(this) : this;
  }

  /**
   * Run the action that the params of a connection name; the server emits `actionComplete` when the response is complete.
   * @throws errors of the listeners of the event, by the promise
   */
  static runFor<Data extends ActionProcessor>(
    server: Emitter,
    data: Data,
  ): Promise<Data> {
    const call = data.callFor(server, undefined, undefined);
    return promiseOf(() => data.runWith(call)) as Promise<Data>;
  }

  /** As `runFor`, for a caller that does not wait. @param onLateError takes what a listener throws later */
  static startFor(
    server: Emitter,
    data: ActionProcessor,
    onLateError: LateErrors,
  ): void {
    void data.runGuarded(data.callFor(server, onLateError, undefined));
  }

  /**
   * Run an action for a caller within the process.
   * @returns the result of the call, or a promise of it
   * @throws errors that come at once
   */
  static runInLine(data: ActionProcessor, inLine: InLineCall): unknown {
    return data.runGuarded(data.callFor(undefined, undefined, inLine));
  }

  private runGuarded(call: Call): Outcome {
    const done = this.runWith(call);
    return isThenable(done) && !call.isGuarded
      ? done.then(undefined, (error: unknown) => this.failCaller(call, error))
      : done;
  }

  private runWith(call: Call): Outcome {
    const { server, inLine } = call;
    const { actionName, apiVersion } = inLine ?? UNNAMED;
    // a project may have wrapped this function
    if (this.processAction !== processAction)
      return this.processAction(actionName, apiVersion).then(() => {
        server?.emit("actionComplete", this);
        return inLine ? inLine.resultOf(this) : this;
      });
    const { tracer } = tracing;
    return tracer
      ? traceAction(tracer, this, () =>
          promiseOf(() => this.process(call, actionName, apiVersion)),
        )
      : this.process(call, actionName, apiVersion);
  }

  /** The fields that the built-in formatter adds to the log line of an error. */
  applyDefaultErrorLogLineFormat(error: unknown): ErrorLogLine {
    return errorLogLine(error);
  }

  /** Run the action; its output schema, if any, filters the response. */
  private runFitted(): unknown {
    const template = this.actionTemplate!;
    const returned: unknown = template.run(this);
    const output = outputOf(template);
    if (!output) return returned;
    // `run` may write to `data.response` instead, which is neither checked nor pruned
    const fit = (value: unknown) =>
      value === undefined || value === null
        ? value
        : fitted(template, output, value);
    return isThenable(returned) ? returned.then(fit) : fit(returned);
  }

  /** Wait, limited by the timeout of the action. */
  private untilTimeout<T>(work: PromiseLike<T>): PromiseLike<T> {
    const cancellation = this[CANCELLATION];
    return cancellation?.isTimed === true
      ? cancellation.untilTimeout(work, this.action)
      : work;
  }

  /** Global middleware and that of the action, or undefined without any. */
  private middlewareNames(): MiddlewareNames | undefined {
    const local = this.actionTemplate!.middleware ?? NO_MIDDLEWARE;
    const global = api.actions.globalMiddleware;
    return global.length > 0 || local.length > 0 ? [global, local] : undefined;
  }

  private async runMiddleware(
    lists: MiddlewareNames,
    phase: "preProcessor" | "postProcessor",
  ): Promise<void> {
    for (const names of lists) {
      for (const name of names) {
        const { middleware } = api.actions;
        if (!Object.hasOwn(middleware, name))
          throw new Error(
            `unknown middleware \`${name}\` of the action \`${this.action}\``,
          );
        const process = middleware[name]![phase];
        if (typeof process !== "function") continue;
        const { tracer } = tracing;
        const done: unknown = tracer
          ? traceMiddleware(
              tracer,
              { name, phase },
              () => process(this) as unknown,
            )
          : process(this);
        if (isThenable(done)) await done;
      }
    }
  }

  private record(
    status: ActionsStatus,
    error: unknown,
    errorId: string | undefined,
  ): void {
    this.response ??= {};
    const { connection } = this;
    if (connection.pendingActions > 0) connection.pendingActions--;
    if (connection.pendingActions === 0) forgetCalls(connection);
    this.duration = Date.now() - this.actionStartTime!;
    this.actionStatus = status;
    this.working = false;
    this[CANCELLATION]?.end();
    measureAction(this);
    if (tracing.tracer) traceOutcome(tracing.tracer, this, error);
    reportAction(this, error, errorId);
  }

  private isAnswered(): boolean {
    const { connection, messageId } = this;
    return serverOf(connection)?.hasAnswered?.(connection, messageId) ?? false;
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
const { processAction } = ActionProcessor.prototype;

/** Whether somebody takes the errors that come later. */
function isGuarding({ onLateError, inLine }: Call): boolean {
  return onLateError !== undefined || inLine !== undefined;
}
