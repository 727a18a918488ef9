/** The names and order of the built-in initializers, on which priorities of projects and plugins rest. */
import { useApp } from "../support/app";
import { api, Process } from "../../src/index";

const app = useApp();

/** v29's, with load, start and stop priority where it has the phase. */
const V29: Record<string, [load?: number, start?: number, stop?: number]> = {
  exceptions: [1],
  redis: [200, 101, 99999],
  connections: [400],
  params: [400],
  actions: [410],
  routes: [500],
  staticFile: [510],
  chatRoom: [520, 200],
  servers: [599, 900, 100],
  resque: [600, 950, 100],
  tasks: [699, 975],
  specHelper: [900, 901],
};

test.each(Object.entries(V29))(
  "%s has v29's priorities",
  (name, [load, start, stop]) => {
    const initializer = app.initializers[name];
    expect(initializer.loadPriority).toBe(load);
    if (start) expect(initializer.startPriority).toBe(start);
    if (stop) expect(initializer.stopPriority).toBe(stop);
    expect(typeof initializer.initialize).toBe("function");
  },
);

test("the booleans of v29", async () => {
  expect(app).toMatchObject({
    initialized: true,
    started: true,
    running: true,
    stopped: false,
    shuttingDown: false,
    startCount: 1,
    stopReasons: [],
  });
  expect(api.process).toBe(app);
});

test("start, stop and start of one Process", async () => {
  await app.stop("a reason");
  expect(app).toMatchObject({
    running: false,
    started: false,
    initialized: false,
    stopped: true,
    stopReasons: ["a reason"],
    initializers: {},
  });
  expect(api.running).toBe(false);
  await app.start();
  expect(app.running).toBe(true);
  expect(app.startCount).toBe(1);
});

test("the commands on api are those of the last Process", async () => {
  const other = new Process();
  expect(api.process).toBe(other);
  new Process();
  expect(Object.keys(api.commands).sort()).toEqual([
    "initialize",
    "restart",
    "start",
    "stop",
  ]);
});

test("flattenOrderedInitializer sorts by number", () => {
  expect(
    app.flattenOrderedInitializer({ 1000: ["c"], 9: ["a"], 100: ["b", "b2"] }),
  ).toEqual(["a", "b", "b2", "c"]);
});
