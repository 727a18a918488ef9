/** The exported `specHelper`: runs actions, files and tasks from tests, without a network. */
import { randomUUID } from "node:crypto";
import type { Action } from "../action/action";
import type {
  ActionName,
  HelperArguments,
  RunResult,
} from "../action/actionTypes";
import { api } from "../api";
import type {
  RequesterInformation,
  ServerInformation,
} from "../server/web/respond";
import {
  testServer,
  type ReceivedFile,
  type SpecHelperConnection,
} from "./testServer";

export * from "./tasks";
export type { SpecHelperConnection } from "./testServer";

/** What comes with the answer of an action, unless `api.specHelper.returnMetadata` is false. */
export interface ActionMetadata {
  messageId?: string;
  error?: any;
  requesterInformation?: RequesterInformation;
  serverInformation?: ServerInformation;
}

/** A client of the test server; `messages` collects its messages, the welcome first. */
export async function buildConnection(): Promise<SpecHelperConnection> {
  testServer(); // says what is missing
  return api.specHelper.Connection!.createAsync();
}

/**
 * Run an action as a client would, and get what the client would get. Names and params are typed by the project's
 * `actions.gen.ts`, if it has one; naming the action's class takes any params.
 * @param args the params (`params.action` is written into them), or a connection from `buildConnection`
 * @returns the answer; an action's error is in its `error`, nothing is thrown. An action that sets `toRender` to
 *   false and sends no file answers never
 */
export function runAction<
  A extends Action | void = void,
  Name extends ActionName = ActionName,
>(
  actionName: Name,
  ...args: HelperArguments<A, Name, SpecHelperConnection>
): Promise<RunResult<A, Name> & ActionMetadata>;
export async function runAction(
  actionName: string,
  input: Partial<SpecHelperConnection> | { [key: string]: any } = {},
): Promise<any> {
  const connection = isConnection(input) ? input : await connectionWith(input);
  connection.params.action = actionName;
  connection.messageId =
    (connection.params.messageId as string | undefined) || randomUUID();
  return answerTo(connection, () => testServer().processAction(connection));
}

/** Ask for a file below the public folders. */
export async function getStaticFile(file: string): Promise<ReceivedFile> {
  const connection = await buildConnection();
  connection.params.file = file;
  return answerTo(connection, () => testServer().processFile(connection));
}

function isConnection(input: object): input is SpecHelperConnection {
  const { id, type } = input as Partial<SpecHelperConnection>;
  return Boolean(id) && type === "testServer";
}

async function connectionWith(params: {
  [key: string]: any;
}): Promise<SpecHelperConnection> {
  const connection = await buildConnection();
  connection.params = params;
  return connection;
}

/** The message that answers the connection's current message id. */
function answerTo<T>(
  connection: SpecHelperConnection,
  request: () => Promise<unknown>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    connection.actionCallbacks ??= {};
    connection.actionCallbacks[String(connection.messageId)] = resolve;
    request().catch(reject);
  });
}
