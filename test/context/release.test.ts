/** A connection that stays open keeps nothing of the work that it has done. */
import { once } from "node:events";
import { Agent, request } from "node:http";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SocketPeer, startSocketApp } from "../support/socketApp";
import { until } from "../support/until";
import { addActions } from "../support/webApp";
import { connectWebsocket, webPort } from "../support/websocketClient";
import { config, context, type Process } from "../../src/index";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

let app: Process;
let contexts: WeakRef<object>[] = [];
let params: WeakRef<object>[] = [];

beforeAll(async () => {
  config.general.context = true;
  app = await startSocketApp();
  addActions({
    note: {
      inputs: { text: {}, list: {} },
      run: async (data: { params: object }) => {
        contexts.push(new WeakRef(context()!));
        params.push(new WeakRef(data.params));
        await Promise.resolve();
        return { noted: true };
      },
    },
  });
});
beforeEach(() => {
  contexts = [];
  params = [];
});
afterAll(async () => {
  await app.stop();
  config.general.context = false;
});

/** @returns the status */
async function post(agent: Agent, body: string): Promise<number> {
  const req = request({
    port: webPort(),
    path: "/api/note",
    method: "POST",
    agent,
    headers: { "Content-Type": "application/json" },
  });
  req.end(body);
  const [res] = await once(req, "response");
  res.resume();
  await once(res, "end");
  return res.statusCode;
}

/** An object is alive until the end of the turn in which its reference was read. */
async function isCollected(refs: WeakRef<object>[]): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  return refs.every((ref) => ref.deref() === undefined);
}

const BODY = JSON.stringify({ text: "x".repeat(1000), list: [1, 2, 3] });

test("an idle HTTP connection", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 0; i < 3; i++) expect(await post(agent, BODY)).toBe(200);
  await until(() => isCollected([...contexts, ...params]));
  expect(contexts).toHaveLength(3);
  // and it still serves
  expect(await post(agent, BODY)).toBe(200);
  agent.destroy();
});

test("an idle websocket", async () => {
  const client = await connectWebsocket();
  for (let i = 0; i < 3; i++)
    expect(await client.action("note", { text: "x" })).toMatchObject({
      noted: true,
    });
  await until(() => isCollected([...contexts, ...params]));
  expect(contexts).toHaveLength(3);
  client.close();
  await client.closed;
});

test("an idle TCP connection", async () => {
  const client = await SocketPeer.connect();
  await client.next();
  for (let i = 0; i < 3; i++)
    expect(
      await client.ask(`note ${JSON.stringify({ text: "x" })}`),
    ).toMatchObject({ noted: true });
  await until(() => isCollected(contexts));
  expect(contexts).toHaveLength(3);
  await client.close();
});
