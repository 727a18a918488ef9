/** The exported `action`: middleware, and running an action from inside the server. */
import { api, IN_LINE } from "../api";
import { Connection, DESTROYED } from "../connection/connection";
import { continueContext, isContextOn } from "../context/context";
import { ActionheroError } from "../errors";
import {
  registerMiddleware,
  type Hook,
  type NamedMiddleware,
} from "../middleware/stack";
import { SerialIds } from "../utils/ids";
import type { Action } from "./action";
import { ActionProcessor } from "./actionProcessor";
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
export async function run(
  actionName: string,
  actionVersion?: string | number,
  params?: { [key: string]: any } | null,
  connectionProperties?: { [key: string]: any },
): Promise<any> {
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
  // each needless await costs a twentieth of a call (bench/action.ts)
  try {
    const created = connection.runCreateMiddleware();
    if (created) await created;
    connection.params = params ?? {};
    if (connectionProperties) Object.assign(connection, connectionProperties);
    const data = new ActionProcessor(connection);
    const processed = await (isContextOn()
      ? continueContext({ connection }, () =>
          data.processAction(actionName, actionVersion),
        )
      : data.processAction(actionName, actionVersion));
    const response = processed.response as unknown;
    const { error, errors } = (response ?? {}) as Record<string, unknown>;
    if (error) throw inlineError(error, errors);
    return response;
  } finally {
    const destroyed = connection.destroy();
    if (destroyed !== DESTROYED) await destroyed;
  }
}

/** Errors become text (`Error: ...`), as in v29; other values become their message, if any. A list of all is `errors`. */
function inlineError(error: unknown, errors: unknown): Error {
  const message =
    error instanceof Error || typeof error !== "object"
      ? `${error as string}`
      : ((error as { message?: string }).message ?? JSON.stringify(error));
  const wrapped = new ActionheroError("AH_ACTION", message, { cause: error });
  return Array.isArray(errors) ? Object.assign(wrapped, { errors }) : wrapped;
}
