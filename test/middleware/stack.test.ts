import { config, rebuildConfig } from "../../src/index";
import {
  registerMiddleware,
  type NamedMiddleware,
} from "../../src/middleware/stack";

let registry: {
  middleware: { [name: string]: NamedMiddleware };
  globalMiddleware: string[];
};

beforeEach(() => {
  registry = { middleware: {}, globalMiddleware: [] };
});

afterEach(() => rebuildConfig());

function add(name: string, priority?: any, isGlobal = true) {
  registerMiddleware(registry, { name, priority }, isGlobal);
}

test("middleware without a name is refused", () => {
  expect(() => add("")).toThrow("middleware.name is required");
});

test("without a priority it gets the configured one", () => {
  add("a");
  expect(registry.middleware.a.priority).toBe(100);
  config.general.defaultMiddlewarePriority = 7;
  add("b");
  expect(registry.middleware.b.priority).toBe(7);
});

test("lower priorities run first; 0 is one; texts are numbers; equal ones keep their order", () => {
  add("last", 1000);
  add("b");
  add("c", "100");
  add("ten", "10");
  add("zero", 0);
  add("two", 2);
  add("d");
  expect(registry.globalMiddleware).toEqual([
    "zero",
    "two",
    "ten",
    "b",
    "c",
    "d",
    "last",
  ]);
});

test("the same name replaces, and is listed once", () => {
  add("a", 1);
  add("b", 2);
  add("a", 3);
  expect(registry.globalMiddleware).toEqual(["b", "a"]);
  expect(registry.middleware.a.priority).toBe(3);
});

test("what is not global is only kept by name", () => {
  add("local", 1, false);
  expect(registry.globalMiddleware).toEqual([]);
  expect(registry.middleware).toHaveProperty("local");
});

test("replaced registries are read anew", () => {
  add("a");
  registry.middleware = {};
  registry.globalMiddleware = [];
  add("b");
  expect(registry.globalMiddleware).toEqual(["b"]);
});
