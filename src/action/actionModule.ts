/** The exported `action`: middleware, and running an action from inside the server. */
import { api, IN_LINE } from "../api";
import { Connection, DESTROYED } from "../connection/connection";
import { continueContext, isContextOn } from "../context/context";
import { ActionheroError, httpFactsOf, InlineError } from "../errors";
import { settings } from "../config/settings";
import { usualStatus } from "./status";
import {
  registerMiddleware,
  type Hook,
  type NamedMiddleware,
} from "../middleware/stack";
import { SerialIds } from "../utils/ids";
import type { Action } from "./action";
import { ActionProcessor, type InLineCall } from "./actionProcessor";
import type { ActionName, RunArguments, RunResult } from "./actionTypes";

export type { ResponseOf } from "./actionTypes";

/** Runs before and after actions; either function may be async and throws to end the action with an error. */
export interface ActionMiddleware extends NamedMiddleware {
  /** Run for every action, even if it does not name this middleware. */
  global: boolean;
  preProcessor?: Hook<(data: ActionProcessor<any>) => any>;
  postProcessor?: Hook<(data: ActionProcessor<any>) => any>;
}

/**
 * Add middleware for actions.
 * @throws Error `middleware.name is required`
 */
export function addMiddleware(data: ActionMiddleware): void {
  registerMiddleware(api.actions, data, data.global === true);
}

const inLineIds = new SerialIds();

/**
 * Run an action from inside the server, with its middleware and checks, and get its response. Names, params and the response
 * are typed by the project's `actions.gen.ts`, if it has one; naming the action's class takes any params.
 * @param actionVersion default: the latest
 * @param args the params, and properties of the action's connection, e.g. `{ session }`
 * @throws ActionheroError AH_ACTION when the response has an error; the original is its `cause`
 */
export function run<
  ActionClass extends Action | void = void,
  Name extends ActionName = ActionName,
  Version extends string | number | undefined = string | number | undefined,
>(
  actionName: Name,
  actionVersion?: Version,
  ...args: RunArguments<ActionClass, Name, Version>
): Promise<RunResult<ActionClass, Name, Version>>;
export function run(
  actionName: string,
  actionVersion?: string | number,
  params?: { [key: string]: any } | null,
  connectionProperties?: { [key: string]: any },
): Promise<any> {
  const call = new InLineRun(
    actionName,
    actionVersion,
    params ?? {},
    connectionProperties,
  );
  try {
    return Promise.resolve(call.start());
  } catch (error) {
    return call.fail(error);
  }
}

/** Each promise or `async` function more costs a twentieth of a call (bench/action.ts). */
class InLineRun implements InLineCall {
  startedAt: number | undefined = undefined;
  private connection: Connection | undefined = undefined;

  constructor(
    readonly actionName: string,
    readonly apiVersion: string | number | undefined,
    private readonly params: { [key: string]: any },
    private readonly properties: { [key: string]: any } | undefined,
  ) {}

  start(): unknown {
    const connection = new Connection(
      {
        id: inLineIds.next(),
        type: IN_LINE,
        remotePort: "0",
        remoteIP: "0",
        rawConnection: {},
        canChat: false,
      },
      false,
    );
    this.connection = connection;
    const created = connection.runCreateMiddleware();
    if (created)
      return created
        .then(() => this.run(connection))
        .catch((error: unknown) => this.fail(error));
    this.startedAt = connection.connectedAt;
    return this.run(connection);
  }

  private run(connection: Connection): unknown {
    connection.params = this.params;
    if (this.properties) Object.assign(connection, this.properties);
    const data = new ActionProcessor(connection);
    return isContextOn()
      ? continueContext({ connection }, () =>
          ActionProcessor.runInLine(data, this),
        )
      : ActionProcessor.runInLine(data, this);
  }

  resultOf(data: ActionProcessor): unknown {
    const response = data.response as unknown;
    if ((response as { error?: unknown } | undefined)?.error)
      throw inlineError(data);
    return this.close(response);
  }

  async fail(error: unknown): Promise<never> {
    await this.connection?.destroy();
    throw error;
  }

  private close(response: unknown): unknown {
    const destroyed = this.connection!.destroy();
    return destroyed === DESTROYED ? response : destroyed.then(() => response);
  }
}

/**
 * The error of a response that has one. With `errors.keepInline`, it has the message and the status for clients; otherwise an
 * Error becomes text (`Error: ...`), as in v29. Other values become their message, if any. A list of all is `errors`.
 */
function inlineError({ response, actionStatus }: ActionProcessor): Error {
  const { error, errors: listed } = response as Record<string, unknown>;
  const errors = Array.isArray(listed) ? (listed as unknown[]) : undefined;
  if (settings().errors.keepInline) {
    const { status, headers } = httpFactsOf(error);
    return new InlineError(messageOf(error), {
      cause: error,
      status: status ?? usualStatus(actionStatus, error, settings().web),
      headers,
      errors,
    });
  }
  const message = error instanceof Error ? String(error) : messageOf(error);
  const wrapped = new ActionheroError("AH_ACTION", message, { cause: error });
  return errors ? Object.assign(wrapped, { errors }) : wrapped;
}

function messageOf(error: unknown): string {
  if (typeof error !== "object") return `${error as string}`;
  return (error as { message?: string }).message ?? JSON.stringify(error);
}
