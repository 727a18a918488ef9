/** The states of a worker, as the code and docs/architecture.md have them. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  isActive,
  nextState,
  TRANSITIONS,
  type WorkerState,
} from "../../src/resque/member";

const STATES = Object.keys(TRANSITIONS) as WorkerState[];

test("docs/architecture.md shows every transition, and no other", () => {
  const page = fs.readFileSync(
    path.join(__dirname, "../../docs/architecture.md"),
    "utf8",
  );
  const documented = [
    ...page.matchAll(/^\| `(\w+)` +\| `(\w+)` +\| `(\w+)`/gm),
  ];
  const transitions = STATES.flatMap((state) =>
    Object.entries(TRANSITIONS[state]).map(([event, next]) => [
      state,
      event,
      next,
    ]),
  );
  expect(documented.map(([, ...words]) => words)).toEqual(transitions);
});

test("every state can be reached, and every active one comes to its end", () => {
  const reached = new Set<WorkerState>(["stopped"]);
  for (const state of reached)
    for (const next of Object.values(TRANSITIONS[state])) reached.add(next);
  expect([...reached].sort()).toEqual([...STATES].sort());

  const ends = new Set<WorkerState>(STATES.filter((state) => !isActive(state)));
  for (let size = 0; size < ends.size;) {
    size = ends.size;
    for (const state of STATES)
      if (Object.values(TRANSITIONS[state]).some((next) => ends.has(next)))
        ends.add(state);
  }
  expect([...ends].sort()).toEqual([...STATES].sort());
});

test("a job that comes to a worker which is to end is not run", () => {
  expect(nextState("withdrawing", "job")).toBe("leaving");
  expect(nextState("leaving", "job")).toBeUndefined();
});
