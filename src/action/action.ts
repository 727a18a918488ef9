/** The base class of actions. */
import { api } from "../api";
import { connectionVerbs } from "../connection/verbs";
import { tableOf } from "../input/schemaPlan";
import type {
  DeclaredInputs,
  ParamsOfInputs,
  SchemaInput,
  StandardSchema,
} from "../input/types";
import type { ActionheroLogLevel } from "../log/log";
import type { ActionProcessor } from "./actionProcessor";
import { MAX_TIMER_MS } from "../utils/promises";
import type { Idempotency } from "./idempotency";
import { globalSafeParams, pagingParams } from "./safeParams";
import type { ActionMiddleware } from "./actionModule";

/** The return value of `run`; an object is merged into the response. */
export type ActionResponse = { [key: string]: any } | null | void;

/** One operation of the server, on every transport. */
export abstract class Action {
  // declared without a value: a field would shadow a getter of a subclass
  /** The name that clients call. */
  declare name: string;
  /** For documentation; an action that is loaded from a file has its name by default. */
  declare description: string;
  /** Several versions of one name can exist; clients that select none get the highest (default 1). */
  version: string | number = 1;
  /** The accepted params, as a table or as a Standard Schema (zod, valibot, arktype, ...); all others are removed. */
  inputs: DeclaredInputs = {};
  /** For documentation only. */
  outputExample: any = {};
  /** Names of middleware that runs for this action, after the global one. */
  middleware: string[] = [];
  /** Connection types (`"web"`, `"websocket"`, `"socket"`, ...) that may not run it. */
  blockedConnectionTypes: string[] = [];
  /** The longest run time including middleware, in ms, after which the client gets an error (default: no limit). */
  declare timeout?: number;
  /** Whether a repeated call with the same key gets the response of the first one (default: no). */
  declare idempotent?: Idempotency;
  /** The level of its log line when it ends without an error (default `"info"`). */
  logLevel: ActionheroLogLevel = "info";
  /** Web: respond with the mime type of the requested path's extension (default true). */
  matchExtensionMimeType = true;
  /** Show it in the generated documentation (default true). */
  toDocument = true;

  /**
   * Run the action.
   * @param data the request: `data.params`, `data.connection`, `data.session`; `data.response` is the response to
   * send
   * @returns an object whose properties join the response, or nothing
   */
  abstract run(
    data: Partial<ActionProcessor<any>>,
  ): Promise<ActionResponse> | ActionResponse;

  /** @throws Error naming the missing or invalid property */
  validate(): void {
    if (!this.name) throw new Error("name is required for this action");
    if (!this.description)
      throw new Error(
        `description is required for the action \`${this.name}\``,
      );
    if (typeof this.run !== "function")
      throw new Error(`action \`${this.name}\` has no run method`);
    const { timeout } = this;
    if (timeout !== undefined && !isTimeout(timeout))
      throw new Error(
        `the timeout of action \`${this.name}\` must be a number of ms, at most ${MAX_TIMER_MS} (24.8 days)`,
      );
    if (
      api.connections &&
      (connectionVerbs as readonly string[]).includes(this.name)
    ) {
      throw new Error(
        `action \`${this.name}\` is a reserved verb for connections. choose a new name`,
      );
    }
    checkInputNames(this);
  }
}

/** @throws Error naming an input that is a reserved param */
function checkInputNames({ name, inputs }: Action): void {
  const safeParams = api.params?.globalSafeParams ?? globalSafeParams;
  const own: string[] = pagingParams(); // may still be declared
  for (const [input, { file }] of Object.entries(tableOf(inputs))) {
    // a body of the type application/octet-stream is the param `file`
    const isDeclaredFile = input === "file" && file !== undefined;
    if (safeParams.includes(input) && !own.includes(input) && !isDeclaredFile)
      throw new Error(
        `input \`${input}\` in action \`${name}\` is a reserved param`,
      );
  }
}

function isTimeout(value: unknown): boolean {
  return typeof value === "number" && value > 0 && value <= MAX_TIMER_MS;
}

// --- Actions without a class: the definition types the argument of `run`.

/** By value, or by the name under which it was added. */
type NamedOrDefined = string | DefinedMiddleware;

/** `"get /users/:id"`: a method, or `all`, and a path. */
export type ActionRoute = `${string} /${string}`;

/** The session parts that a list of middleware adds, together. */
type SessionOf<M extends readonly NamedOrDefined[]> = (
  M[number] extends infer One
    ? One extends DefinedMiddleware<string, infer Part>
      ? (part: Part extends object ? Part : unknown) => void
      : never
    : never
) extends (all: infer All) => void
  ? All
  : unknown;

/** The argument of `run` of a defined action: the request, with typed params and session. */
export type ActionData<Params = any, Session = unknown> = Omit<
  ActionProcessor,
  "params" | "session"
> & {
  /** Frozen. */
  readonly params: Params;
  session: Session & { [key: string]: any };
};

/** The return value of `run`: any object, or what the output schema takes. */
type Returned<Output> = Output extends StandardSchema
  ? SchemaInput<Output> | Promise<SchemaInput<Output>>
  : ActionResponse | Promise<ActionResponse>;

export interface ActionDefinition<
  Name extends string,
  I extends DeclaredInputs,
  M extends readonly NamedOrDefined[],
  Output,
  R,
> {
  /** The name that clients call. */
  name: Name;
  /** For documentation (default: the name). */
  description?: string;
  /** Default 1. */
  version?: string | number;
  /** A Standard Schema, or a table of inputs; all other params are removed. */
  inputs?: I;
  /** A Standard Schema of the response. */
  output?: Output;
  outputExample?: object;
  middleware?: M;
  /** Its own paths, below the prefix of actions. */
  route?: ActionRoute | readonly ActionRoute[];
  /** The HTTP methods of its automatic routes (default: all of them). */
  httpMethods?: readonly string[];
  blockedConnectionTypes?: string[];
  /** The longest run time including middleware, in ms (default: no limit). */
  timeout?: number;
  /** Send the response of the first call for a repeated call with the same key (default: no). */
  idempotent?: Idempotency;
  logLevel?: ActionheroLogLevel;
  matchExtensionMimeType?: boolean;
  toDocument?: boolean;
  run: (data: ActionData<ParamsOfInputs<I>, SessionOf<M>>) => R;
}

/** An action as `defineAction` makes it. */
export interface DefinedAction<
  Name extends string = string,
  I extends DeclaredInputs = any,
  Output = any,
  R = any,
> extends Action {
  name: Name;
  inputs: I;
  output?: Output;
  run(
    data: any,
  ): Output extends StandardSchema ? Promise<SchemaInput<Output>> : R & object;
}

/** The middleware that defined actions name by value, to be registered with them. */
const middlewareOf = new WeakMap<Action, DefinedMiddleware[]>();

/** @returns the middleware that an action lists by value */
export function definedMiddleware(action: Action): DefinedMiddleware[] {
  return middlewareOf.get(action) ?? [];
}

/** A file below `src/actions` exports the result, as it exports classes. */
export function defineAction<
  const Name extends string,
  const I extends DeclaredInputs = {}, // eslint-disable-line @typescript-eslint/no-empty-object-type -- no inputs
  const M extends readonly NamedOrDefined[] = [],
  Output extends StandardSchema | undefined = undefined,
  R extends Returned<Output> = Returned<Output>,
>(
  definition: ActionDefinition<Name, I, M, Output, R>,
): DefinedAction<Name, I, Output, R> {
  return new FunctionAction(definition as never) as never;
}

class FunctionAction extends Action {
  constructor(
    definition: ActionDefinition<
      string,
      DeclaredInputs,
      readonly NamedOrDefined[],
      unknown,
      ActionResponse
    >,
  ) {
    super();
    const { middleware = [], description, name, ...rest } = definition;
    for (const [key, value] of Object.entries(rest))
      if (value !== undefined) (this as Record<string, unknown>)[key] = value;
    this.name = name;
    this.description = description ?? name;
    this.middleware = middleware.map((one) =>
      typeof one === "string" ? one : one.name,
    );
    const values = middleware.filter((one) => typeof one !== "string");
    if (values.length > 0) middlewareOf.set(this, values);
  }

  /** @throws Error when the definition has no `run`, which types exclude; also the errors of all actions */
  override validate(): void {
    super.validate();
    if (
      typeof Object.getOwnPropertyDescriptor(this, "run")?.value !== "function"
    )
      throw new Error(`action \`${this.name}\` has no run method`);
  }

  override run(_data: unknown): ActionResponse {
    // each definition has a run of its own, which hides this one
    throw new Error(`the action ${this.name} has no run`);
  }
}

// --- Middleware as values: what `preProcessor` returns joins `data.session`, and is typed in the actions that name it.

/** The return value of a pre-processor: an object that joins the session, or nothing. */
type SessionPart = object | void;

export interface MiddlewareDefinition<
  Name extends string,
  Part extends SessionPart,
> {
  name: Name;
  /** Lower runs earlier (default `config.general.defaultMiddlewarePriority`). */
  priority?: number;
  /** Runs before the action; throws to end it with an error. */
  preProcessor?: (data: ActionProcessor) => Part | Promise<Part>;
  /** Runs after the action. */
  postProcessor?: (data: ActionProcessor) => unknown;
}

export interface DefinedMiddleware<
  Name extends string = string,
  Part extends SessionPart = any,
> extends ActionMiddleware {
  name: Name;
  global: false;
  /** Only for types: what it adds to the session. */
  readonly "~session"?: Part;
}

/**
 * Middleware for the `middleware` of `defineAction`, which registers it; classes name it by `signedIn.name`, and
 * `action.addMiddleware(signedIn)` registers it for them.
 */
export function defineMiddleware<
  const Name extends string,
  Part extends SessionPart = void,
>(
  definition: MiddlewareDefinition<Name, Part>,
): DefinedMiddleware<Name, Awaited<Part>> {
  const { name, priority, preProcessor, postProcessor } = definition;
  const middleware: DefinedMiddleware<Name, Awaited<Part>> = {
    name,
    priority,
    global: false,
  };
  if (postProcessor) middleware.postProcessor = postProcessor;
  if (preProcessor)
    middleware.preProcessor = async (data: ActionProcessor) => {
      const part: unknown = await preProcessor(data);
      if (typeof part === "object" && part !== null)
        Object.assign((data.session ??= {}) as object, part);
    };
  return middleware;
}
