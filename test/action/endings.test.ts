/** However an action ends, and whatever it needs before, around and after `run`, it ends once. */
import { EventEmitter } from "node:events";
import {
  addAction,
  makeConnection,
  resetMiddleware,
  useApp,
} from "../support/app";
import { action, ActionProcessor, api, type Action } from "../../src/index";
import type { Overload } from "../../src/overload/overload";

useApp();

const late = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What makes the framework go each of its ways through an action. */
const WAYS: Record<string, Partial<Action>> = {
  "params and run alone": {},
  "checks that are async": {
    inputs: { value: { validator: () => late() } },
  },
  "a timeout": { timeout: 30_000 },
  middleware: { middleware: ["endings"] },
};

/** An object with a property that cannot be read. */
function throwing(property: string): object {
  return Object.defineProperty({}, property, {
    get() {
      throw new Error(`no ${property}`);
    },
  });
}

/** How `run` ends, and the text of the error that clients get. */
const ENDINGS: [string, Action["run"], string | undefined][] = [
  ["returns", () => ({ ok: true }), undefined],
  ["resolves", async () => ({ ok: true }), undefined],
  [
    "throws",
    () => {
      throw new Error("thrown");
    },
    "thrown",
  ],
  [
    "rejects later",
    async () => {
      await late();
      throw new Error("rejected");
    },
    "rejected",
  ],
  ["returns an object whose `then` throws", () => throwing("then"), "no then"],
  [
    "throws an object whose `name` throws",
    () => {
      throw throwing("name") as Error;
    },
    "no name",
  ],
];

let counts: { entered: number; left: number };

beforeEach(() => {
  counts = { entered: 0, left: 0 };
  api.overload = {
    isOverloaded: false,
    enter: () => counts.entered++,
    leave: () => counts.left++,
  } as unknown as Overload;
  action.addMiddleware({
    name: "endings",
    global: false,
    preProcessor: () => late(),
  });
});

afterEach(() => {
  api.overload = undefined;
  resetMiddleware();
});

interface Ended {
  events: number;
  pending: number;
  counts: { entered: number; left: number };
  error: unknown;
}

async function end(
  way: Partial<Action>,
  run: Action["run"],
  { params = {}, onComplete = () => undefined } = {},
): Promise<Ended> {
  addAction("ending", { ...way, run });
  const connection = makeConnection();
  connection.params = { value: "x", ...params, action: "ending" };
  const server = new EventEmitter();
  let events = 0;
  server.on("actionComplete", () => {
    events++;
    onComplete();
  });
  const data = new ActionProcessor<any>(connection);
  await ActionProcessor.runFor(server as never, data).catch(() => undefined);
  await late();
  const { error } = data.response as { error?: Error };
  return {
    events,
    pending: connection.pendingActions,
    counts,
    error: error?.message,
  };
}

describe.each(Object.entries(WAYS))("an action with %s", (_name, way) => {
  test.each(ENDINGS)("whose run %s", async (_ending, run, error) => {
    expect(await end(way, run)).toEqual({
      events: 1,
      pending: 0,
      counts: { entered: 1, left: 1 },
      error,
    });
  });

  test("that is not to be processed, ends once, even if a listener throws", async () => {
    const skips = {
      ...way,
      inputs: {
        ...(way.inputs as object),
        value: {
          formatter(this: ActionProcessor<any>, value: unknown) {
            this.toProcess = false;
            return value;
          },
        },
      },
    } as Partial<Action>;
    const run = jest.fn();
    const onComplete = () => {
      throw new Error("a listener");
    };
    expect(await end(skips, run as never, { onComplete })).toEqual({
      events: 1,
      pending: 0,
      counts: { entered: 1, left: 1 },
      error: undefined,
    });
    expect(run).not.toHaveBeenCalled();
  });
});

describe.each(Object.entries(WAYS))("an action with %s", (_name, way) => {
  test.each(ENDINGS)(
    "whose run %s, gives the error of a listener to the caller that does not wait",
    async (_ending, run) => {
      addAction("ending", { ...way, run });
      const connection = makeConnection();
      connection.params = { value: "x", action: "ending" };
      const thrown = new Error("a listener");
      const server = new EventEmitter();
      server.on("actionComplete", () => {
        throw thrown;
      });
      const data = new ActionProcessor<any>(connection);
      const error = await new Promise((resolve) => {
        try {
          ActionProcessor.startFor(server, data, (failed, error) =>
            resolve(failed === data && error),
          );
        } catch (error) {
          resolve(error);
        }
      });
      expect(error).toBe(thrown);
    },
  );
});

test("a proxy of the data runs the action", async () => {
  addAction("proxied", {
    inputs: { value: {} },
    run: async ({ params }: { params: any }) => ({ value: params.value }),
  });
  const connection = makeConnection();
  connection.params = { value: "x", action: "proxied" };
  const data = new Proxy(new ActionProcessor<any>(connection), {});
  const { response } = await data.processAction();
  expect(response).toEqual({ value: "x" });
});
