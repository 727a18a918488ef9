/** Runs one action for one connection: checks, middleware, params, the action itself, the error, the log line. */
import { api, IN_LINE } from "../api";
import { settings } from "../config/settings";
import { fitted, outputOf } from "./output";
import { errorText } from "../errors";
import type { Connection } from "../connection/connection";
import { takeFailedCall, forgetCalls } from "../connection/calls";
import { textParamsOf } from "../connection/verbs";
import { nameAction } from "../context/context";
import {
  applyInputs,
  isReduced,
  reduceParams,
  type InputCall,
  type SafeParams,
  type TextParams,
} from "../input/field";
import { planOf } from "../input/schemaPlan";
import { applySchema } from "../input/schemaParams";
import { isStandardSchema, type Inputs, type ParamsFrom } from "../input/types";
import type { Overload } from "../overload/overload";
import { isThenable, promiseOf } from "../utils/promises";
import type { Action } from "./action";
import { Cancellation, failureOf } from "./cancellation";
import { isMistake } from "../exposure/errors";
import { log } from "../log/log";
import { runOnce } from "./idempotency";
import type { MetricsApi } from "../metrics/types";
import { countRequest } from "./rateLimit";
import {
  errorLogLine,
  type ErrorLogLine,
  listErrors,
  reportAction,
} from "./report";
import { traceAction, traceName, traceOutcome } from "./spans";
import { latestVersion } from "./registry";
import { globalSafeParams } from "./safeParams";
import { ActionsStatus, errorForStatus } from "./status";
import { traceMiddleware, tracing } from "../tracing/tracer";
import { addToResponse, hideOwnError, putError } from "./response";

const NO_INPUTS: Inputs = {};
const NO_MIDDLEWARE: string[] = [];
const UNNAMED: Pick<Partial<InLineCall>, "actionName" | "apiVersion"> = {};

/** Live lists: middleware may be added during the iteration. */
type MiddlewareNames = [global: readonly string[], local: readonly string[]];

/** Not an enumerable property of `data`. */
const CANCELLATION = Symbol("cancellation");

/** The part of a server that actions need; servers of plugins may be objects without a base class. */
interface TransportOfActions {
  hasAnswered(connection: Connection, messageId: string | number): boolean;
  textParams(connection: Connection, params: object): TextParams;
  refusesActions(): boolean;
}

/** `this`, or the result of an in-line call; a promise only if something has to be waited for. */
type Outcome = unknown;

/** One run of an action. */
interface Call extends Readonly<CallOptions> {
  /** The params of the connection when the request arrived. */
  readonly sent: object;
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
    const sent = this.connection.params;
    return {
      server,
      onLateError,
      inLine,
      sent,
      overload: undefined,
      sessions: undefined,
      isGuarded: false,
    };
  }

  /**
   * Most actions are params and `run`. Their way creates no promise beside that of `run`, since each `async` function on
   * the hot path costs 1 % of a request; it differs from the way of the others only in what it need not wait for.
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
    this.resolveTemplate(actionName, apiVersion);
    const refusal = this.refusal();
    if (refusal !== undefined) return this.refuse(call, refusal);
    const isPlain = this.isPlain();
    call.overload = this.enter();
    return isPlain ? this.runPlain(call) : this.runAround(call);
  }

  /** Whether there is nothing to do before, around or after `run`. */
  private isPlain(): boolean {
    const { timeout, idempotent } = this.actionTemplate!;
    return !timeout && !idempotent && this.middlewareNames() === undefined;
  }

  private runPlain(call: Call): Outcome {
    let status: ActionsStatus | undefined;
    let response: unknown;
    let isLate: boolean;
    try {
      const opened = this.openSession(call);
      if (opened) return this.runAround(call, opened);
      const checks = this.checkParams(call.sent);
      if (checks) return this.runChecked(call, checks);
      status = this.verdict();
      if (status === undefined) response = this.runFitted();
      isLate = isThenable(response);
    } catch (error) {
      return this.failed(call, error);
    }
    // outside of the `try`: what listeners throw must not end the action a second time
    if (status !== undefined) return this.conclude(call, status);
    if (!isLate) return this.succeed(call, response);
    call.isGuarded = isGuarding(call);
    return Promise.resolve(response).then(
      (late) => this.endLate(call, late, undefined),
      (error: unknown) => this.endLate(call, undefined, { error }),
    );
  }

  /** The end of an action that was waited for. @param failure what it threw, if it did */
  private endLate(
    call: Call,
    response: unknown,
    failure: { error: unknown } | undefined,
  ): Outcome {
    try {
      const outcome = failure
        ? this.failed(call, failure.error)
        : this.succeed(call, response);
      if (!isGuarding(call) || !isThenable(outcome)) return outcome;
      return outcome.then(undefined, (error: unknown) =>
        this.endBroken(call, error),
      );
    } catch (error) {
      return this.endBroken(call, error);
    }
  }

  /** A listener of `actionComplete` has thrown, or an in-line action has failed. */
  private endBroken({ onLateError, inLine }: Call, error: unknown): Outcome {
    if (inLine) return inLine.fail(error);
    if (!onLateError) throw error;
    return onLateError(this, error);
  }

  /** The same with checks that are async. */
  private async runChecked(
    call: Call,
    checks: PromiseLike<void>,
  ): Promise<Outcome> {
    let status: ActionsStatus | undefined;
    let response: unknown;
    try {
      await checks;
      status = this.verdict();
      if (status === undefined) response = await this.runFitted();
    } catch (error) {
      return this.failed(call, error);
    }
    return status === undefined
      ? this.succeed(call, response)
      : this.conclude(call, status);
  }

  /**
   * With a timeout, an idempotency key, a stored session, or middleware.
   * @param opening the session, if that has begun
   */
  private async runAround(
    call: Call,
    opening?: Promise<void>,
  ): Promise<Outcome> {
    const { timeout } = this.actionTemplate!;
    const timed = timeout ? this.cancellation() : undefined;
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
    return this.conclude(call, status, thrown);
  }

  /** @returns how the action ends, unless a step throws */
  private async runSteps(
    call: Call,
    opening: Promise<void> | undefined,
  ): Promise<ActionsStatus> {
    const { sent } = call;
    const opened = opening ?? this.openSession(call);
    if (opened) await this.untilTimeout(opened);
    const middleware = this.middlewareNames();
    if (middleware)
      await this.untilTimeout(this.runMiddleware(middleware, "preProcessor"));
    const checks = this.checkParams(sent);
    if (checks) await this.untilTimeout(checks);
    const status = this.verdict();
    if (status !== undefined) return status;
    let response: unknown = this.actionTemplate!.idempotent
      ? runOnce(this, sent, () => this.runFitted())
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
    const counted = this.countRefused(status);
    if (!counted) return this.conclude(call, status);
    return counted.then((error) =>
      error
        ? this.conclude(call, ActionsStatus.GenericError, error)
        : this.conclude(call, status),
    );
  }

  private succeed(call: Call, response: unknown): Outcome {
    try {
      addToResponse(this, response, false);
    } catch (error) {
      return this.failed(call, error);
    }
    return this.conclude(call, ActionsStatus.Complete);
  }

  private failed(call: Call, error: unknown): Outcome {
    return this.conclude(call, ActionsStatus.GenericError, this.errorOf(error));
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
   * The outcome of the action is known.
   * @param thrown of an action that failed with an error
   */
  private conclude(
    call: Call,
    status: ActionsStatus,
    thrown?: unknown,
  ): Outcome {
    const saved = call.sessions?.save(this.connection);
    if (!saved) return this.settle(call, status, thrown);
    return saved.then((unsaved) =>
      unsaved === undefined
        ? this.settle(call, status, thrown)
        : this.settleUnsaved(call, status, [thrown, unsaved]),
    );
  }

  /** The client must not believe that its session was kept; an action that failed keeps its own error. */
  private settleUnsaved(
    call: Call,
    status: ActionsStatus,
    [thrown, unsaved]: [thrown: unknown, unsaved: unknown],
  ): Outcome {
    if (status === ActionsStatus.Complete) {
      this.response = {};
      return this.settle(call, ActionsStatus.GenericError, unsaved);
    }
    log(`the session was not saved: ${errorText(unsaved)}`, "error", {
      action: this.action,
    });
    return this.settle(call, status, thrown);
  }

  private settle(call: Call, status: ActionsStatus, thrown: unknown): Outcome {
    call.overload?.leave();
    const isComplete = status === ActionsStatus.Complete;
    const unawaited = takeFailedCall(this.connection, !isComplete);
    if (unawaited)
      return this.fail(call, ActionsStatus.GenericError, unawaited.error);
    if (!isComplete) return this.fail(call, status, thrown);
    return this.end(call, status);
  }

  private fail(call: Call, status: ActionsStatus, thrown: unknown): Outcome {
    let error: unknown;
    try {
      error = errorForStatus(status, this, thrown);
    } catch (failure) {
      return this.failWith(call, status, failure, failure); // the project's own message function is broken
    }
    if (!isThenable(error)) return this.failWith(call, status, error, thrown);
    return Promise.resolve(error).then(
      (late) => this.failWith(call, status, late, thrown),
      (failure: unknown) => this.failWith(call, status, failure, failure),
    );
  }

  private failWith(
    call: Call,
    status: ActionsStatus,
    error: unknown,
    thrown: unknown,
  ): Outcome {
    // the action may still modify this object
    if (status === ActionsStatus.TimedOut) this.response = {};
    const errorId = putError(this, error, thrown);
    const listed = isOfParams(status) ? listErrors(this) : undefined;
    return listed
      ? listed.then(() => this.endFailed(call, status, error, errorId))
      : this.endFailed(call, status, error, errorId);
  }

  private endFailed(
    call: Call,
    status: ActionsStatus,
    error: unknown,
    errorId: string | undefined,
  ): Outcome {
    // the action that would have responded has failed, and the client waits
    if (this.toRender !== true && !this.isAnswered()) this.toRender = true;
    return this.end(call, status, error, errorId);
  }

  private end(
    { server, inLine }: Call,
    status: ActionsStatus,
    error?: unknown,
    errorId?: string,
  ): Outcome {
    this.complete(status, error, errorId ?? hideOwnError(this));
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

  /** The same for a caller that does not wait. @param onLateError takes what a listener throws later */
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
      ? done.then(undefined, (error: unknown) => this.endBroken(call, error))
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

  private resolveTemplate(actionName?: string, apiVersion?: string | number) {
    const params = this.params as Record<string, any>;
    this.action = actionName || (params.action as string | null);
    const { action } = this;
    // own properties only: a client may request the action "constructor"
    if (
      typeof action !== "string" ||
      !Object.hasOwn(api.actions.actions, action)
    )
      return;
    const versions = api.actions.actions[action]!;
    const version: unknown =
      apiVersion || params.apiVersion || latestVersion(action);
    // a client may send an object, which may not be convertible to a key
    if (typeof version !== "string" && typeof version !== "number") return;
    if (!params.apiVersion) params.apiVersion = version;
    if (!Object.hasOwn(versions, version)) return;
    this.actionTemplate = versions[version] as ActionClass;
    nameAction(this.connection, action);
    if (tracing.tracer) traceName(tracing.tracer, this);
  }

  /** The reason for refusing the action, or undefined. */
  private refusal(): ActionsStatus | undefined {
    const { connection, actionTemplate } = this;
    if (api.running !== true || isRefusing(connection))
      return ActionsStatus.ServerShuttingDown;
    const limit = settings().general.simultaneousActions;
    if (connection.pendingActions > limit) return ActionsStatus.TooManyRequests;
    if (!actionTemplate) return ActionsStatus.UnknownAction;
    if (actionTemplate.blockedConnectionTypes?.includes(connection.type))
      return ActionsStatus.UnsupportedServerType;
    const { overload } = api;
    if (overload?.isOverloaded !== true || connection.type === IN_LINE)
      return undefined;
    overload.noteRefusal();
    return ActionsStatus.Overloaded;
  }

  /** Count as running for `general.overload`; in-line actions are part of their caller. */
  private enter(): Overload | undefined {
    const { overload } = api;
    if (!overload || this.connection.type === IN_LINE) return undefined;
    overload.enter();
    return overload;
  }

  /** Run the action; its output schema, if any, filters the response. */
  private runFitted(): unknown {
    const template = this.actionTemplate!;
    const returned: unknown = template.run(this);
    const output = outputOf(template);
    if (!output) return returned;
    return isThenable(returned)
      ? returned.then((late: unknown) => fitted(template, output, late))
      : fitted(template, output, returned);
  }

  /** Wait, limited by the timeout of the action. */
  private untilTimeout<T>(work: PromiseLike<T>): PromiseLike<T> {
    const cancellation = this[CANCELLATION];
    return cancellation?.isTimed === true
      ? cancellation.untilTimeout(work, this.action)
      : work;
  }

  /**
   * Middleware counts actions for `general.rateLimit`; actions that cannot run are counted here.
   * @returns the error of a client over its limit
   */
  private countRefused(
    status: ActionsStatus | undefined,
  ): Promise<unknown> | undefined {
    if (
      status !== ActionsStatus.UnknownAction &&
      status !== ActionsStatus.UnsupportedServerType
    )
      return undefined;
    return countRequest(this.connection)?.then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  /** Global middleware and that of the action, or undefined without any. */
  private middlewareNames(): MiddlewareNames | undefined {
    const local = this.actionTemplate!.middleware ?? NO_MIDDLEWARE;
    const global = api.actions.globalMiddleware;
    return global.length > 0 || local.length > 0 ? [global, local] : undefined;
  }

  /**
   * @param sent the value of `connection.params` when the request arrived
   * @returns a promise only if a schema, formatter, validator or default is async
   */
  private checkParams(sent: object): void | PromiseLike<void> {
    const inputs = (this.actionTemplate!.inputs ?? NO_INPUTS) as Inputs;
    const safeParams = api.params?.globalSafeParams ?? globalSafeParams;
    if (isStandardSchema(inputs)) {
      const text = textOf(this.connection, sent);
      const call = { errors: this, safeParams, text };
      const checked = applySchema(planOf(inputs), this.params, call);
      if (isThenable(checked))
        return checked.then((params) => void (this.params = params as never));
      this.params = checked as typeof this.params;
      return undefined;
    }
    const own = this.takeOwnParams();
    // most requests have no params but those of their action: then a copy would cost as much as the checks
    if (
      this.params !== own ||
      Object.isFrozen(this.params) ||
      !isReduced(this.params, inputs, safeParams)
    )
      this.params = reduceParams(
        this.params,
        inputs,
        safeParams,
      ) as typeof this.params;
    const call = new ParamsCall(this, safeParams, sent);
    return applyInputs(inputs, this.params, call);
  }

  /** Undefined if `this` is a project's Proxy, which has no private fields. */
  private takeOwnParams(): object | undefined {
    if (!(#ownParams in this)) return undefined;
    const own = this.#ownParams;
    this.#ownParams = undefined;
    return own;
  }

  /** Freeze the params. @returns the status if the action must not run, otherwise undefined */
  private verdict(): ActionsStatus | undefined {
    this.lockParams();
    if (this.missingParams.length > 0) return ActionsStatus.MissingParams;
    if (this.validatorErrors.length > 0) {
      this.throwMistake();
      return ActionsStatus.ValidatorErrors;
    }
    return this.toProcess === true ? undefined : ActionsStatus.Complete;
  }

  /** A validator that failed by a bug: its error is hidden from clients. */
  private throwMistake(): void {
    if (settings().errors.exposeMessages !== "intended") return;
    const mistake = (this.validatorErrors as unknown[]).find(isMistake);
    if (mistake) throw mistake;
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

  private complete(
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
    this.measure();
    if (tracing.tracer) traceOutcome(tracing.tracer, this, error);
    reportAction(this, error, errorId);
  }

  private measure(): void {
    const { metrics } = api as { metrics?: MetricsApi };
    if (metrics?.watch === undefined) return;
    const { connection, actionTemplate, action, actionStatus } = this;
    metrics.watch.action(
      connection.type,
      actionTemplate ? action! : undefined,
      ActionsStatus[actionStatus!],
      this.duration!,
    );
  }

  private isAnswered(): boolean {
    const { connection, messageId } = this;
    return serverOf(connection)?.hasAnswered?.(connection, messageId) ?? false;
  }
}

// eslint-disable-next-line @typescript-eslint/unbound-method -- only compared, never called
const { processAction } = ActionProcessor.prototype;

/** In-line actions have none. */
function serverOf({
  type,
}: Connection): Partial<TransportOfActions> | undefined {
  return api.servers?.servers[type];
}

/** The params of a request that are strings. */
function textOf(connection: Connection, sent: object): TextParams {
  const server = serverOf(connection);
  return server?.textParams?.(connection, sent) ?? textParamsOf(sent);
}

/** How the inputs of an action are applied to the params of a request. */
class ParamsCall implements InputCall {
  readonly scope: unknown;

  constructor(
    readonly errors: ActionProcessor,
    readonly safeParams: SafeParams,
    private readonly sent: object,
  ) {
    this.scope = errors;
  }

  text(): TextParams {
    return textOf(this.errors.connection, this.sent);
  }
}

/** Whether somebody takes the errors that come later. */
function isGuarding({ onLateError, inLine }: Call): boolean {
  return onLateError !== undefined || inLine !== undefined;
}

function isOfParams(status: ActionsStatus): boolean {
  return (
    status === ActionsStatus.MissingParams ||
    status === ActionsStatus.ValidatorErrors
  );
}

/** Persistent servers drain gradually; in-line actions, which have no server, may run until the end. */
function isRefusing({ type }: Connection): boolean {
  const server: Partial<TransportOfActions> | undefined =
    api.servers?.servers[type];
  return server?.refusesActions?.() === true;
}
