/** The base class of actions. */
import { api } from "../api";
import { connectionVerbs } from "../connection/verbs";
import { tableOf } from "../input/schemaPlan";
import type { DeclaredInputs } from "../input/types";
import type { ActionheroLogLevel } from "../log/log";
import type { ActionProcessor } from "./actionProcessor";
import { MAX_TIMER_MS } from "../utils/promises";
import type { Idempotency } from "./idempotency";
import { globalSafeParams, pagingParams } from "./safeParams";

/** The return value of `run`; an object is merged into the response. */
export type ActionResponse = { [key: string]: any } | null | void;

/** One operation of the server, on every transport. */
export abstract class Action {
  // declared without a value: a field would shadow a getter of a subclass
  /** The name that clients call. */
  declare name: string;
  /** For documentation; required. */
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
