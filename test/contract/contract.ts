/**
 * What every transport owes its clients. A transport's test calls `runContract` with a small client of it; what the
 * transport cannot do is declared there, with the reason.
 */
import { api, Process, type Server } from "../../src/index";
import { until } from "../support/until";
import { addContractActions } from "./actions";
import type { Capability, ContractClient, ContractTransport } from "./client";
import { describeEnds, describePersistence, describeStop } from "./connections";
import {
  describeActions,
  describeErrors,
  describeFiles,
  describeMiddleware,
} from "./requests";
import { describeRooms } from "./rooms";
import { describeVerbs } from "./verbs";

export type { ContractClient, ContractTransport } from "./client";

/** What the chapters work with. */
export interface Contract {
  app: Process;
  transport: ContractTransport;
  /** A client that is closed when the test ends. */
  connect: () => Promise<ContractClient>;
  /** The server's side of a client. */
  serverSide: (client: ContractClient) => Promise<any>;
  server: () => Server;
  can: (capability: Capability) => boolean;
  /** A test of something that the transport must be able to do. */
  able: (
    capability: Capability,
    title: string,
    body: () => Promise<void>,
  ) => void;
}

/** Describe the contract for one transport, with a server of its own. */
export function runContract(transport: ContractTransport): void {
  const app = new Process();
  const clients: ContractClient[] = [];
  const can = (capability: Capability) =>
    transport.cannot?.[capability] === undefined;
  const server = () => api.servers.servers[transport.type];
  const contract: Contract = {
    app,
    transport,
    async connect() {
      const client = await transport.connect();
      clients.push(client);
      return client;
    },
    async serverSide(client) {
      const { id } = await client.action("contractWho");
      return api.connections.connections[id];
    },
    server,
    can,
    able(capability, title, body) {
      if (can(capability)) test(title, body);
    },
  };

  beforeAll(async () => {
    await app.start();
    addContractActions(transport.type);
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    api.actions.middleware = {};
    api.actions.globalMiddleware = [];
    api.connections.middleware = {};
    api.connections.globalMiddleware = [];
    await until(() => server().connections().length === 0);
  });

  afterAll(async () => {
    if (app.running) await app.stop();
  });

  test("what it cannot do has a reason, and the server says the same", () => {
    for (const reason of Object.values(transport.cannot ?? {}))
      expect(reason.length).toBeGreaterThan(10);
    const { verbs, canChat } = server().attributes;
    if (!can("verbs")) expect(verbs ?? []).toEqual([]);
    if (!can("rooms")) expect(canChat).not.toBe(true);
  });

  describeActions(contract);
  describeErrors(contract);
  describeMiddleware(contract);
  describeFiles(contract);
  describePersistence(contract);
  describeEnds(contract);
  if (can("verbs")) describeVerbs(contract);
  if (can("rooms")) describeRooms(contract);
  describeStop(contract);
}
