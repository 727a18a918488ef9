/** The contract's chapter on verbs. */
import type { Contract } from "./contract";

export function describeVerbs({
  transport,
  connect,
  serverSide,
  can,
  able,
}: Contract): void {
  const errorText = transport.verbErrorText ?? ((text: string) => text);

  describe("verbs", () => {
    test("detailsView tells what the server knows", async () => {
      const client = await connect();
      const connection = await serverSide(client);
      const { data, error } = await client.verb!("detailsView");
      expect(error).toBeUndefined();
      expect(Object.keys(data)).toEqual([
        "id",
        "fingerprint",
        "remoteIP",
        "remotePort",
        "params",
        "connectedAt",
        "rooms",
        "totalActions",
        "pendingActions",
      ]);
      expect(data).toMatchObject({
        id: connection.id,
        rooms: [],
        totalActions: 1,
        pendingActions: 0,
      });
    });

    test.each(["nothing", "constructor", "__proto__", "toString"])(
      "%s is no verb",
      async (verb) => {
        const client = await connect();
        const { error } = await client.verb!(verb);
        // some transports take any other first word for the name of an action
        expect([
          errorText(`verb not found or not allowed (${verb})`),
          "unknown action or invalid apiVersion",
        ]).toContain(error);
        expect((await client.verb!("detailsView")).error).toBeUndefined();
      },
    );

    able("paramVerbs", "params are kept, viewed and deleted", async () => {
      const client = await connect();
      const verb = async (...words: [string, ...string[]]) => {
        const { data, error } = await client.verb!(...words);
        expect(error).toBeUndefined();
        return data;
      };
      await verb("paramAdd", "key=a value=2".split(" ")[0]);
      await verb("paramAdd", "value=a=b");
      await verb("paramAdd", "neverDeclaredAnywhere=1");
      await verb("paramAdd", "__proto__=1");
      await verb("paramAdd", "neverDeclaredAnywhere[]=1");
      const nested = await client.verb!("paramAdd", "key[a]=1");
      expect(nested.error).toContain("params with brackets are sent as JSON");
      expect(await verb("paramView", "key")).toBe("a");
      expect(await verb("paramView", "value")).toBe("a=b");
      expect(await verb("paramView", "constructor")).toBeUndefined();
      expect(await verb("paramsView")).toMatchObject({
        key: "a",
        value: "a=b",
      });
      expect(await verb("paramsView")).not.toHaveProperty(
        "neverDeclaredAnywhere",
      );
      await verb("paramDelete", "key");
      expect(await verb("paramView", "key")).toBeUndefined();
      await verb("paramsDelete");
      expect(await verb("paramView", "value")).toBeUndefined();
    });

    test.each(["quit", "exit"])("%s ends the connection", async (verb) => {
      const client = await connect();
      const connection = await serverSide(client);
      client.verb!(verb).catch(() => undefined);
      if (can("goodbye")) await client.closed;
      else await client.verb!(verb);
      expect(connection.destroyed).toBe(true);
    });
  });
}
