/** The contract's chapters on actions, their errors, inputs and middleware, and files. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { action, api, config } from "../../src/index";
import { until } from "../support/until";
import { release, runs, started } from "./actions";
import type { Contract } from "./contract";

export function describeActions({ transport, connect, able }: Contract): void {
  const errorText = transport.errorText ?? ((text: string) => text);

  describe("actions", () => {
    test("the response of an action", async () => {
      const client = await connect();
      const answer = await client.action("contractEcho", { value: "hello" });
      expect(answer.error).toBeUndefined();
      expect(answer).toMatchObject({ value: "hello", other: null });
      const who = await client.action("contractWho");
      expect(who.type).toBe(transport.type);
    });

    test("values of every kind come through, and come back", async () => {
      const client = await connect();
      const value = {
        text: 'ünïcödé \u2028 😀 "quotes" \\ \r\n',
        number: -1.5,
        list: [1, [2, { three: 3 }], null],
        no: false,
      };
      const answer = await client.action("contractEcho", { value });
      expect(answer.value).toEqual(value);
    });

    test("a long value", async () => {
      const client = await connect();
      const value = "0123456789é".repeat(10_000);
      const answer = await client.action("contractEcho", { value });
      expect(answer.value).toBe(value);
    });

    test("params that the action does not declare are removed", async () => {
      const client = await connect();
      const answer = await client.action("contractEcho", {
        value: 1,
        undeclared: 2,
      });
      expect(answer).toMatchObject({ value: 1, undeclared: null });
    });

    test("requests side by side keep their own params", async () => {
      const client = await connect();
      const key = `${transport.type}-side`;
      const answers = ["a", "b", "c"].map((mark) =>
        client.action("contractWait", { key, mark }),
      );
      await started(key, 3);
      release(key);
      const marks = (await Promise.all(answers)).map(({ mark }) => mark);
      expect(marks).toEqual(["a", "b", "c"]);
    });

    test("the latest version, a selected version, and a missing one", async () => {
      const client = await connect();
      const ask = (apiVersion?: unknown) =>
        client.action(
          "contractVersions",
          apiVersion === undefined ? {} : { apiVersion },
        );
      expect((await ask()).version).toBe(10);
      expect((await ask(2)).version).toBe(2);
      expect((await ask("1")).version).toBe(1);
      for (const version of ["3", "constructor", "__proto__"])
        expect((await ask(version)).error).toBe(
          errorText("unknown action or invalid apiVersion"),
        );
    });

    able("messageIds", "the client's message id comes back", async () => {
      const client = await connect();
      const { messageId } = await client.action("contractWho", {
        messageId: "mine-1",
      });
      expect(messageId).toBe("mine-1");
    });
  });
}

export function describeErrors({ transport, connect }: Contract): void {
  const errorText = transport.errorText ?? ((text: string) => text);

  describe("errors", () => {
    const unknownAction = "unknown action or invalid apiVersion";

    async function errorOf(name: string, params?: Record<string, unknown>) {
      const client = await connect();
      const { error } = await client.action(name, params);
      const next = await client.action("contractEcho", { value: "next" });
      expect(next.value).toBe("next"); // the client can go on
      return error;
    }

    test("a missing param", async () => {
      expect(await errorOf("contractEcho")).toBe(
        errorText("value is a required parameter for this action"),
      );
    });

    test("an action that throws", async () => {
      expect(await errorOf("contractThrow")).toBe(errorText("it went wrong"));
    });

    test("an unknown action", async () => {
      expect(await errorOf("contractNothing")).toBe(errorText(unknownAction));
    });

    test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
      "%s is no action",
      async (name) => {
        expect(await errorOf(name)).toBe(errorText(unknownAction));
        expect(await errorOf(name, { apiVersion: "create" })).toBe(
          errorText(unknownAction),
        );
      },
    );

    test("params that would change a prototype change nothing", async () => {
      const client = await connect();
      const params = JSON.parse(
        '{"value": 1, "__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}',
      );
      const answer = await client.action("contractEcho", params);
      expect(answer).toMatchObject({ value: 1, polluted: null });
      expect(({} as any).polluted).toBeUndefined();
    });

    test("an action that does not take this kind of connection", async () => {
      expect(await errorOf("contractBlocked")).toBe(
        errorText(
          `this action does not support the ${transport.type} connection type`,
        ),
      );
    });

    test("an action name that is not a text", async () => {
      const client = await connect();
      const answer = await client.action(["contractWho"] as never);
      expect(answer.error).toBe(errorText(unknownAction));
    });
  });

  describe("inputs", () => {
    test("defaults, formatters and schemas", async () => {
      const client = await connect();
      const answer = await client.action("contractInputs", {
        even: "4",
        where: { city: "Oslo", planet: "Earth" },
      });
      expect(answer).toMatchObject({ list: ["a", "b"], even: 4 });
      expect(answer.where).toEqual({ city: "Oslo" });
    });

    test("validators that throw, that answer false, and that answer an object", async () => {
      const client = await connect();
      const errorFor = async (params: Record<string, unknown>) =>
        (await client.action("contractInputs", params)).error;
      expect(await errorFor({ even: 3 })).toBe(errorText("3 is not even"));
      expect(await errorFor({ strict: 1 })).toBe(
        errorText('Input for parameter "strict" failed validation!'),
      );
      expect(await errorFor({ coded: 1 })).toEqual({
        code: "C1",
        reason: "no such code",
      });
    });

    test("missing params of nested objects, and values that are not objects", async () => {
      const client = await connect();
      const errorFor = async (where: unknown) =>
        (await client.action("contractInputs", { where })).error;
      expect(await errorFor({})).toBe(
        errorText("where.city is a required parameter for this action"),
      );
      expect(await errorFor("Oslo")).toBe(
        errorText('Input for parameter "where" is not an object'),
      );
    });
  });
}

export function describeMiddleware({
  transport,
  connect,
  server,
}: Contract): void {
  const errorText = transport.errorText ?? ((text: string) => text);

  describe("middleware", () => {
    test("global, then local; before and after the action", async () => {
      const note = (name: string, global: boolean, priority?: number) =>
        action.addMiddleware({
          name,
          global,
          priority,
          preProcessor: (data) => {
            data.response.order ??= [];
            data.response.order.push(`before ${name}`);
            data.session[name] = true;
          },
          postProcessor: async (data) => {
            data.response.order.push(`after ${name}`);
          },
        });
      note("contract-local", false);
      note("second", true, 200);
      note("first", true, 10);

      const client = await connect();
      const answer = await client.action("contractMiddleware");
      expect(answer.order).toEqual([
        "before first",
        "before second",
        "before contract-local",
        "run",
        "after first",
        "after second",
        "after contract-local",
      ]);
      expect(answer.session).toEqual({
        first: true,
        second: true,
        "contract-local": true,
      });
    });

    test("can refuse a request", async () => {
      action.addMiddleware({
        name: "guard",
        global: true,
        preProcessor: () => {
          throw new Error("not for you");
        },
      });
      const client = await connect();
      const before = runs.count;
      const { error } = await client.action("contractCount");
      expect(error).toBe(errorText("not for you"));
      expect(runs.count).toBe(before);
    });

    test("of connections runs once when they come, and once when they go", async () => {
      const seen: string[] = [];
      api.connections.addMiddleware({
        name: "watch",
        create: (connection) => {
          seen.push(`create ${connection.type}`);
        },
        destroy: async (connection) => {
          seen.push(`destroy ${connection.type}`);
        },
      });
      const client = await connect();
      await client.action("contractWho");
      await client.close();
      await until(() => seen.length >= 2);
      await until(() => server().connections().length === 0);
      expect(seen).toEqual([
        `create ${transport.type}`,
        `destroy ${transport.type}`,
      ]);
    });
  });
}

export function describeFiles({ connect, able }: Contract): void {
  describe("files", () => {
    able("files", "a file, and one that is not there", async () => {
      const client = await connect();
      const { content } = await client.file!("simple.html");
      expect(content).toContain("<!doctype html>");
      const missing = await client.file!("nothing.html");
      expect(missing.error).toBe("that file is not found");
      expect(missing.content ?? "").toBe("");
      const next = await client.action("contractEcho", { value: 1 });
      expect(next.value).toBe(1);
    });

    able(
      "files",
      "with `web.dotfiles` names that begin with a dot are not found, except .well-known",
      async () => {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), "contract-"));
        const names = [".env", ".git/config", ".well-known/security.txt"];
        for (const name of names) {
          const file = path.join(folder, name);
          fs.mkdirSync(path.dirname(file), { recursive: true });
          fs.writeFileSync(file, "content");
        }
        api.staticFile.searchLocations.push(folder);
        const client = await connect();
        const found = async () => {
          const answers = [];
          for (const name of names) {
            const { content, error } = await client.file!(name);
            answers.push(error ?? content);
          }
          return answers;
        };
        try {
          expect(await found()).toEqual(["content", "content", "content"]);
          config.web.dotfiles = "ignore";
          const missing = "that file is not found";
          expect(await found()).toEqual([missing, missing, "content"]);
        } finally {
          config.web.dotfiles = "allow";
          api.staticFile.searchLocations.pop();
          fs.rmSync(folder, { recursive: true, force: true });
        }
      },
    );

    for (const name of [
      "../package.json",
      "%2e%2e%2fpackage.json",
      "/etc/passwd",
    ])
      able(
        "files",
        `${name} leads out of the public folder: not found`,
        async () => {
          const client = await connect();
          const { error } = await client.file!(name);
          expect(error).toBe("that file is not found");
        },
      );
  });
}
