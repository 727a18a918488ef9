import { makeConnection, resetMiddleware, useApp } from "../support/app";
import { api, config, rebuildConfig, specHelper } from "../../src/index";

useApp();

afterEach(() => {
  resetMiddleware();
  rebuildConfig();
});

describe("addMiddleware", () => {
  test("needs a name; is always global; in order of priority", () => {
    expect(() => api.connections.addMiddleware({} as never)).toThrow(
      "middleware.name is required",
    );
    api.connections.addMiddleware({ name: "a", priority: 10 });
    api.connections.addMiddleware({ name: "b", priority: 9 });
    api.connections.addMiddleware({ name: "c" });
    expect(api.connections.globalMiddleware).toEqual(["b", "a", "c"]);
    expect(api.connections.middleware.c.priority).toBe(100);
  });
});

describe("apply", () => {
  test("without a method: the connection as plain data, and a copy of it", async () => {
    const connection = await specHelper.buildConnection();
    const clean = await api.connections.apply(connection.id);
    expect(clean).toMatchObject({
      id: connection.id,
      type: "testServer",
      rooms: [],
    });
    expect(clean).not.toHaveProperty("rawConnection");
    clean.params.mine = true;
    expect(connection.params).toEqual({});
  });

  test("set takes a list, sendMessage one value", async () => {
    const connection = await specHelper.buildConnection();
    await api.connections.apply(connection.id, "set", ["auth", true]);
    expect(connection).toHaveProperty("auth", true);
    await api.connections.apply(connection.id, "sendMessage", { hello: 1 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(connection.messages!.at(-1)).toEqual({ hello: 1 });
    await api.connections.apply(connection.id, "sendMessage", [1, 2]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(connection.messages!.at(-1)).toEqual([1, 2]);
  });

  test("the copy is made when the method has ended", async () => {
    const { id } = await specHelper.buildConnection();
    const clean = await api.connections.apply(id, "sendMessage", { hi: 1 });
    expect(clean.messages.at(-1)).toEqual({ hi: 1 });
  });

  test("methods of a connection only", async () => {
    const { id } = await specHelper.buildConnection();
    for (const method of [
      "nothing",
      "constructor",
      "__defineGetter__",
      "rooms",
    ])
      await expect(api.connections.apply(id, method, [])).rejects.toThrow(
        `${method} is not a method of a connection`,
      );
  });

  test("nobody has it: RPC Timeout", async () => {
    config.general.rpcTimeout = 50;
    await expect(api.connections.apply("nobody")).rejects.toThrow(
      "RPC Timeout",
    );
  });
});

describe("applyResponder", () => {
  test("does nothing for a connection that is elsewhere", async () => {
    expect(
      await api.connections.applyResponder("nobody", "set", ["a", 1]),
    ).toBeUndefined();
    expect(await api.connections.applyResponder("constructor")).toBeUndefined();
  });

  test("a method without arguments is not called", async () => {
    const connection = await specHelper.buildConnection();
    await api.connections.applyResponder(connection.id, "destroy");
    expect(connection.destroyed).toBe(false);
    await api.connections.applyResponder(connection.id, "destroy", []);
    expect(connection.destroyed).toBe(true);
  });
});

test("cleanConnection leaves out what cannot travel", () => {
  const connection: any = makeConnection();
  connection.api = {};
  connection.circle = { connection };
  connection.big = 1n;
  connection.extra = { ok: true };
  connection.fn = () => undefined;
  const clean = api.connections.cleanConnection(connection);
  for (const key of ["rawConnection", "api", "circle", "big"])
    expect(clean).not.toHaveProperty(key);
  expect(clean).toMatchObject({ id: connection.id, extra: { ok: true } });
  expect(typeof clean.fn).toBe("function");
  expect(JSON.parse(JSON.stringify(clean))).not.toHaveProperty("fn");
});
