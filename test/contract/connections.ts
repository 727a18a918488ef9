/** The contract's chapters on connections that stay, and on how they and the server end. */
import { api, config } from "../../src/index";
import { until } from "../support/until";
import { addContractActions, release, runs, started } from "./actions";
import type { Contract } from "./contract";

export function describePersistence({
  transport,
  connect,
  serverSide,
  server,
  able,
}: Contract): void {
  const errorText = transport.errorText ?? ((text: string) => text);

  describe("persistent connections", () => {
    able("persistence", "are welcomed", async () => {
      const client = await connect();
      await until(() => client.messages!.length > 0);
      expect(client.messages![0]).toMatchObject({
        welcome: config.general.welcomeMessage,
        context: "api",
      });
    });

    able(
      "persistence",
      "may have so many actions pending, and no more",
      async () => {
        const client = await connect();
        const limit = config.general.simultaneousActions;
        const key = `${transport.type}-limit`;
        const pending = Array.from({ length: limit }, () =>
          client.action("contractWait", { key }),
        );
        await started(key, limit);
        const { error } = await client.action("contractWait", { key });
        expect(error).toBe(errorText("you have too many pending requests"));
        release(key);
        for (const answer of await Promise.all(pending))
          expect(answer.waited).toBe(key);
        const again = await client.action("contractWho");
        expect(again.error).toBeUndefined();
        const connection = api.connections.connections[again.id];
        expect(connection.pendingActions).toBe(0);
        expect(connection.totalActions).toBe(limit + 2);
      },
    );

    able("persistence", "get what the server sends them", async () => {
      const client = await connect();
      const connection = await serverSide(client);
      await connection.sendMessage({ context: "alert", news: "good" });
      const news = await until(() =>
        client.messages!.find((message) => message.news),
      );
      expect(news).toMatchObject({ context: "alert", news: "good" });
    });

    able("persistence", "are known apart", async () => {
      const [one, two] = [await connect(), await connect()];
      const ids = [await serverSide(one), await serverSide(two)].map(
        ({ id }) => id,
      );
      expect(new Set(ids).size).toBe(2);
      expect(server().connections()).toHaveLength(2);
    });
  });
}

export function describeEnds({
  transport,
  connect,
  server,
  able,
}: Contract): void {
  describe("the end of a connection", () => {
    able(
      "goodbye",
      "by the server: the client is told, and nothing is sent any more",
      async () => {
        const client = await connect();
        const key = `${transport.type}-destroyed`;
        let answered = false;
        client.action("contractWait", { key }).then(
          () => (answered = true),
          () => undefined,
        );
        await started(key);
        const [connection] = server().connections();
        await connection.destroy();
        await connection.destroy(); // a second time is nothing
        await client.closed;
        release(key);
        await connection.sendMessage({ context: "alert", late: true });
        expect(answered).toBe(false);
        expect(client.messages!.some((message) => message.late)).toBe(false);
        expect(server().connections()).toEqual([]);
      },
    );

    test("by the client, while its action runs", async () => {
      const client = await connect();
      const key = `${transport.type}-gone`;
      client.action("contractWait", { key }).catch(() => undefined);
      await started(key);
      await client.close();
      release(key);
      await until(() => server().connections().length === 0);
      const next = await connect();
      expect((await next.action("contractWho")).type).toBe(transport.type);
    });

    test("a message for a client that is gone harms nobody", async () => {
      const client = await connect();
      let connection: any;
      api.connections.addMiddleware({
        name: "keep",
        create: (created) => {
          connection = created;
        },
      });
      const other = await connect();
      await other.action("contractWho");
      await other.close();
      await until(() => connection.destroyed);
      await connection.sendMessage({ context: "alert", late: true });
      expect((await client.action("contractWho")).error).toBeUndefined();
    });
  });
}

/** Comes last: it stops the server. */
export function describeStop({
  app,
  transport,
  connect,
  server,
  can,
}: Contract): void {
  const errorText = transport.errorText ?? ((text: string) => text);

  describe("the end of the server", () => {
    test("lets an action that runs finish, refuses new ones, and says goodbye", async () => {
      const client = await connect();
      const key = `${transport.type}-stop`;
      const pending = client.action("contractWait", { key });
      await started(key);

      const ending = server();
      const stopped = app.stop();
      if (can("persistence")) {
        await until(() => ending.isDraining);
        const before = runs.count;
        const late: unknown = await Promise.race([
          client.action("contractCount").catch(() => undefined),
          (client.closed ?? new Promise(() => undefined)).then(() => undefined),
        ]);
        if (late !== undefined)
          expect(late).toMatchObject({
            error: errorText("the server is shutting down"),
          });
        expect(runs.count).toBe(before);
      }
      release(key);
      expect((await pending).waited).toBe(key);
      await stopped;
      if (can("goodbye")) await client.closed;
      expect(Object.keys(api.connections.connections)).toEqual([]);
    });

    test("and it can start again", async () => {
      if (!app.running) await app.start();
      addContractActions(transport.type);
      const client = await connect();
      expect((await client.action("contractWho")).type).toBe(transport.type);
    });
  });
}
