/** What public applications for v24-v29 write, and what has to compile. Checked by `npm run lint`, never run. */
import type { Action } from "../../src/index";
import {
  action,
  api,
  chatRoom,
  log,
  utils,
  type Connection,
} from "../../src/index";

export function middlewareWithNarrowParameters(): void {
  action.addMiddleware({
    name: "auth",
    global: false,
    preProcessor: async ({
      actionTemplate,
      params,
    }: {
      actionTemplate: Action & { authenticated: boolean };
      params: { userName: string };
    }) => {
      if (actionTemplate.authenticated && !params.userName) throw new Error();
    },
  });
  api.connections.addMiddleware({
    name: "own",
    create: (connection: Connection & { user: { id: number } }) => {
      connection.user = { id: 1 };
    },
  });
  void chatRoom.addMiddleware({
    name: "own",
    join: async (connection: { user: string }, room: string) => {
      if (room === connection.user) throw new Error();
    },
  });
}

/** A function that is written in place still has typed parameters. */
export function middlewareInPlace(): void {
  action.addMiddleware({
    name: "typed",
    global: true,
    preProcessor: (data) => {
      const action: string | undefined = data.params.action;
      // @ts-expect-error the data of an action has no such property
      return [action, data.nothingOfTheSort];
    },
  });
}

export const write: (message: string, severity: string) => void = log;
export const filtered: string = utils.filterObjectForLogging({
  o1: { p1: "x" },
}).o1.p1;
