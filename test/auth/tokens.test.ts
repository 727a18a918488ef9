/** Bearer tokens and `requireUser`, over HTTP, websockets and TCP. */
import { describeOnEachEngine } from "../support/engines";
import { closeAll, SocketPeer, startSocketApp } from "../support/socketApp";
import { addActions, ask } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import {
  action,
  auth,
  type ActionProcessor,
  type Process,
} from "../../src/index";

const users = new Map([["u1", { id: "u1", name: "ann" }]]);

describeOnEachEngine("bearer tokens", (engine) => {
  let app: Process;
  let token: string;

  beforeAll(async () => {
    app = await startSocketApp();
    const signedIn = auth.requireUser({
      name: "signedInByToken",
      find: async (data) => {
        const token = auth.bearerToken(data);
        const claims = await auth.findToken<{ userId: string }>(token);
        return claims && users.get(claims.userId);
      },
    });
    action.addMiddleware(signedIn);
    addActions({
      whoHasToken: {
        middleware: [signedIn.name],
        run: ({ session }: ActionProcessor) => ({ name: session.user.name }),
      },
    });
  });
  beforeEach(async () => {
    await engine.flush();
    token = await auth.issueToken({ userId: "u1" });
  });
  afterAll(async () => {
    await closeAll();
    await app.stop();
  });

  const askWith = (authorization?: string) =>
    ask(webPort(), "/api/whoHasToken", {
      headers: authorization === undefined ? {} : { authorization },
    });

  test("the header of a request names its user", async () => {
    for (const scheme of ["Bearer", "bearer"]) {
      const { status, json } = await askWith(`${scheme} ${token}`);
      expect(status).toBe(200);
      expect(json).toMatchObject({ name: "ann" });
    }
  });

  test("no token, an unknown one and another scheme are refused with 401", async () => {
    const unknown = `Bearer ah_${"x".repeat(43)}`;
    for (const given of [undefined, unknown, "Bearer x", `Basic ${token}`]) {
      const { status, headers, json } = await askWith(given);
      expect(status).toBe(401);
      expect(headers["www-authenticate"]).toBe("Bearer");
      expect(json.error).toMatch(/please sign in/);
      expect(json.name).toBeUndefined();
    }
  });

  test.each([undefined, null, "", { a: 1 }])(
    "a user with the id %j is refused with 401",
    async (id) => {
      users.set("odd", { id, name: "odd" } as never);
      const odd = await auth.issueToken({ userId: "odd" });
      expect((await askWith(`Bearer ${odd}`)).status).toBe(401);
    },
  );

  test("a token in the URL is ignored", async () => {
    const path = `/api/whoHasToken?accessToken=${token}`;
    expect((await ask(webPort(), path)).status).toBe(401);
  });

  test("a websocket client sends the token with its upgrade, or as a param", async () => {
    const headers = { authorization: `Bearer ${token}` };
    const upgraded = await connectWebsocket({ headers });
    expect(await upgraded.action("whoHasToken")).toMatchObject({ name: "ann" });
    const plain = await connectWebsocket();
    expect((await plain.action("whoHasToken")).error).toMatch(/sign in/);
    expect(
      await plain.action("whoHasToken", { accessToken: token }),
    ).toMatchObject({ name: "ann" });
    upgraded.close();
    plain.close();
  });

  test("a TCP client sends the token in a line of JSON", async () => {
    const peer = await SocketPeer.connect();
    await peer.next(); // the welcome
    expect((await peer.ask("whoHasToken")).error).toMatch(/sign in/);
    const line = { action: "whoHasToken", params: { accessToken: token } };
    expect(await peer.ask(JSON.stringify(line))).toMatchObject({ name: "ann" });
  });

  test("a revoked token does not count, and redis never has a token itself", async () => {
    const client = engine.client();
    const [key] = (await client.keys("actionhero:token:*")) as [string];
    expect(key).not.toContain(token.slice(3));
    expect(await client.get(key)).toBe('{"userId":"u1"}');
    const left = await client.pttl(key);
    expect(left).toBeGreaterThan(29 * 24 * 60 * 60 * 1000);
    expect(await auth.revokeToken(token)).toBe(true);
    expect(await auth.revokeToken(token)).toBe(false);
    expect((await askWith(`Bearer ${token}`)).status).toBe(401);
  });

  test("ttl is how long a token counts", async () => {
    await engine.flush();
    await auth.issueToken({ userId: "u1" }, { ttl: 60_000 });
    const [key] = (await engine.client().keys("actionhero:token:*")) as [
      string,
    ];
    const left = await engine.client().pttl(key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
  });
});
