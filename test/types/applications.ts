/** What public applications for v24-v29 write, and what has to compile. Checked by `npm run lint`, never run. */
import {
  type Action,
  action,
  api,
  chatRoom,
  log,
  specHelper,
  task,
  Task,
  utils,
  type Connection,
  type ParamsFrom,
} from "../../src/index";
import type { RunAction } from "../../tasks/runAction";
import type { Equal, Expect } from "./expect";

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

/** A task of which only what version 29 asked for is there. */
export const literal: Task = {
  name: "literal",
  description: "an object",
  queue: "default",
  frequency: 0,
  validate: () => undefined,
  run: async () => "done",
};

/** The worker of node-resque, as far as its type tells. */
declare class NodeResqueWorker {
  private doPerform: (...args: any[]) => Promise<any>;
  options: object;
  jobs: object;
  started: boolean;
  name: string;
  queues: string[] | string;
  queue: string;
  error: Error | null;
  result: any;
  job: { class: string; queue: string; args: any[] } | null;
  id: number;
  on(event: string, listener: (...args: any[]) => void): this;
  start(): Promise<void>;
  end(): Promise<void>;
}

/** Plugins and tests hand a worker of node-resque on, and tasks name it as their parameter. */
export async function withNodeResque(): Promise<void> {
  await api.tasks.tasks.literal.run({}, {} as NodeResqueWorker);
  class Working extends Task {
    override inputs = { n: { required: true as const } };

    override async run(
      params: ParamsFrom<Working>,
      worker: NodeResqueWorker,
    ): Promise<{ sum: number }> {
      return { sum: params.n.length + worker.id };
    }
  }
  await api.tasks.tasks.working.run({}, new Working() as any);
  const { sum } = await specHelper.runTask<Working>("working", { n: "1" });
  const full = await specHelper.runFullTask<Working>("working", { n: "1" });
  const text = await specHelper.runTask<string>("working", {});
  const anything = await specHelper.runTask("working", {});
  show<Expect<Equal<typeof sum, number>>>(sum);
  show<Expect<Equal<typeof full, { sum: number }>>>(full);
  show<Expect<Equal<typeof text, string>>>(text);
  show<Expect<Equal<typeof anything, any>>>(anything);
}

declare function show<Check extends true>(value: unknown, check?: Check): void;

export async function resultOfTask(): Promise<number> {
  const { randomNumber } = await specHelper.runTask<RunAction>("runAction", {
    action: "randomNumber",
  });
  return randomNumber;
}

/** What workers do is read with and without asking whether they do something. */
export async function whatWorkersDo(name: string): Promise<string[]> {
  const working = await task.allWorkingOn();
  const { workers } = await task.details();
  const activity = workers[name];
  if (activity === "started") return [];
  return [
    working[name].payload.class,
    workers[name].queue,
    activity.run_at,
    activity.payload.class,
  ];
}
