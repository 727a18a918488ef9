/** A private Redis Cluster of three masters for tests. */
import { Cluster, Redis, type ClusterOptions } from "ioredis";
import { freePort } from "./freePort";
import { RedisServer } from "./redisServer";
import { until } from "./until";

const SLOTS = 16_384;
const MASTERS = 3;
const START_TIMEOUT_MS = 45_000;

export class RedisCluster {
  /** The masters, in the order of their slots. */
  readonly nodes: RedisServer[] = [];
  private readonly busPorts: number[] = [];
  private readonly replicas: RedisServer[] = [];

  /** Where each master listens, as `new Cluster(...)` takes it. */
  get addresses(): { host: string; port: number }[] {
    return this.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  }

  /** The arguments of ioredis' `Cluster`, as `config.redis.client.args` takes them. */
  args(
    options: ClusterOptions = {},
  ): [{ host: string; port: number }[], ClusterOptions] {
    return [this.addresses, options];
  }

  /** A client of the test's own; the test disconnects it. */
  client(options: ClusterOptions = {}): Cluster {
    return new Cluster(...this.args(options));
  }

  /** Start the masters, give each a third of the slots and wait until all of them serve. */
  async start(): Promise<this> {
    for (let i = 0; i < MASTERS; i++) {
      const { node, busPort } = await startNode();
      this.nodes.push(node);
      this.busPorts.push(busPort);
    }
    const clients = this.nodes.map(({ port }) => new Redis({ port }));
    try {
      await this.join(clients);
    } finally {
      for (const client of clients) client.disconnect();
    }
    return this;
  }

  /** Start a replica of a master, and wait until it has the data. */
  async addReplica(master: number): Promise<RedisServer> {
    const { node } = await startNode();
    this.replicas.push(node);
    const { port } = this.nodes[master];
    const source = new Redis({ port });
    const client = new Redis({ port: node.port });
    try {
      const id = await source.cluster("MYID");
      await client.call(
        "CLUSTER",
        "MEET",
        "127.0.0.1",
        port,
        this.busPorts[master],
      );
      await until(
        () =>
          client.call("CLUSTER", "REPLICATE", id).then(
            () => true,
            () => false, // it has not heard of its master yet
          ),
        START_TIMEOUT_MS,
      );
      await until(
        async () =>
          /master_link_status:up/.test(await client.info("replication")),
        START_TIMEOUT_MS,
      );
    } finally {
      for (const one of [source, client]) one.disconnect();
    }
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.nodes, ...this.replicas].map((node) => node.stop()),
    );
    this.nodes.length = this.replicas.length = this.busPorts.length = 0;
  }

  private async join(clients: Redis[]): Promise<void> {
    const firstSlot = (index: number) => Math.floor((SLOTS * index) / MASTERS);
    for (const [index, client] of clients.entries()) {
      const range = [firstSlot(index), firstSlot(index + 1) - 1];
      await client.call("CLUSTER", "ADDSLOTSRANGE", ...range);
      // equal epochs would have to be told apart first, which takes seconds
      await client.call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
      if (index > 0)
        await clients[0].call(
          "CLUSTER",
          "MEET",
          "127.0.0.1",
          this.nodes[index].port,
          this.busPorts[index],
        );
    }
    await until(async () => {
      const infos = await Promise.all(
        clients.map((client) => client.cluster("INFO")),
      );
      return infos.every(
        (info) =>
          /cluster_state:ok/.test(info) &&
          new RegExp(`cluster_size:${MASTERS}\\b`).test(info),
      );
    }, START_TIMEOUT_MS);
  }
}

async function startNode(): Promise<{ node: RedisServer; busPort: number }> {
  // by default the bus listens at the port + 10,000, which may be none
  const busPort = await freePort();
  const node = new RedisServer();
  await node.start({
    config: {
      "cluster-enabled": "yes",
      "cluster-config-file": "nodes.conf",
      "cluster-node-timeout": "5000",
      "cluster-port": String(busPort),
    },
  });
  return { node, busPort };
}
