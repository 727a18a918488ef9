/** The steps of the cache, its locks and the register of nodes do the same on every kind of redis. */
import { type Cluster, type Redis, Redis as RealRedis } from "ioredis";
import MockRedis = require("ioredis-mock");
import {
  readObject,
  writeObject,
  type OwnedWrite,
} from "../../src/cache/objects";
import {
  cancelComputing,
  popText,
  pushText,
  readAndTouch,
  readTexts,
  releaseLock,
  removeObject,
  renewLock,
  takeLock,
  writeComputed,
  writeObjects,
} from "../../src/cache/operations";
import * as register from "../../src/cluster/register";
import { publishText } from "../../src/redis/pubsub";
import { isCluster, keyHolders } from "../../src/redis/engine";
import { shareSlot } from "../../src/redis/atomic";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { RedisCluster } from "../support/redisCluster";

const MINUTE_MS = 60_000;

interface Kind {
  open(): Promise<Redis>;
  close(): Promise<void>;
  /** Before the keys of one thing; without it they lie in several slots. */
  prefix: string;
}

function embedded(): Kind {
  let client: Redis;
  return {
    prefix: "",
    open: () => Promise.resolve((client = new MockRedis())),
    close: () => Promise.resolve(void client.disconnect()),
  };
}

function single(): Kind {
  const server = new RedisServer();
  let client: Redis;
  return {
    prefix: "",
    async open() {
      await server.start();
      return (client = new RealRedis({ port: server.port }));
    },
    async close() {
      client.disconnect();
      await server.stop();
    },
  };
}

/** Both kinds use the same servers: the first one starts them, the last one ends them. */
function clusteredKinds(): [Kind, Kind] {
  const servers = new RedisCluster();
  let isStarted = false;
  const kind = (prefix: string, isLast: boolean): Kind => {
    let client: Cluster;
    return {
      prefix,
      async open() {
        if (!isStarted) await servers.start();
        isStarted = true;
        return (client = servers.client()) as unknown as Redis;
      },
      async close() {
        client.disconnect();
        if (isLast) await servers.stop();
      },
    };
  };
  return [kind("{one}", false), kind("", true)];
}

const [oneSlot, severalSlots] = clusteredKinds();

describeOnRedis("the contract of steps", () => {
  describe.each([
    ["the embedded engine", embedded()],
    ["a redis", single()],
    ["a Redis Cluster, keys in one slot", oneSlot],
    ["a Redis Cluster, keys in several slots", severalSlots],
  ])("on %s", (_name, kind) => {
    let client: Redis;
    const key = (name: string) => `${kind.prefix}${name}`;
    const [lockKey, cacheKey, computingLock] = [
      key("lock"),
      key("object"),
      key("computing"),
    ] as const;
    const write = (text: string, lifetimeMs = 0): OwnedWrite => ({
      lock: lockKey,
      entry: cacheKey,
      text,
      lifetimeMs,
      owner: "me",
    });
    const computed = (text: string, before: string | null) => ({
      ...write(text),
      computingLock,
      token: "t",
      before,
    });

    beforeAll(async () => {
      client = await kind.open();
    }, MINUTE_MS);
    beforeEach(() =>
      Promise.all(keyHolders(client).map((node) => node.flushall())),
    );
    afterAll(() => kind.close());

    test("its keys lie where the name says", () => {
      const isShared = shareSlot(client, [lockKey, cacheKey, computingLock]);
      expect(isShared).toBe(!isCluster(client) || kind.prefix !== "");
    });

    test("a lock is taken once, kept and freed by its owner alone, and ends", async () => {
      expect(await takeLock(client, lockKey, "me", MINUTE_MS)).toBe(true);
      expect(await takeLock(client, lockKey, "me", MINUTE_MS)).toBe(false);
      expect(await takeLock(client, lockKey, "you", MINUTE_MS)).toBe(false);
      expect(await renewLock(client, lockKey, "you", 2 * MINUTE_MS)).toBe(
        false,
      );
      expect(await renewLock(client, lockKey, "me", 2 * MINUTE_MS)).toBe(true);
      expect(await client.pttl(lockKey)).toBeGreaterThan(MINUTE_MS);
      expect(await releaseLock(client, lockKey, "you")).toBe(false);
      expect(await releaseLock(client, lockKey, "me")).toBe(true);
      expect(await releaseLock(client, lockKey, "you")).toBe(true); // nobody holds it
      expect(await renewLock(client, lockKey, "me", 1)).toBe(false);
    });

    test("an object is written unless another owner holds its lock", async () => {
      expect(await writeObject(client, write("1"))).toBe(true);
      expect(await client.pttl(cacheKey)).toBe(-1);
      expect(await writeObject(client, write("2", MINUTE_MS))).toBe(true);
      expect(await client.pttl(cacheKey)).toBeGreaterThan(0);
      await takeLock(client, lockKey, "you", MINUTE_MS);
      expect(await writeObject(client, write("3"))).toBe(false);
      expect(await readObject(client, lockKey, cacheKey)).toEqual(["you", "2"]);
      await releaseLock(client, lockKey, "you");
      await takeLock(client, lockKey, "me", MINUTE_MS);
      expect(await writeObject(client, write("4"))).toBe(true);
      expect(await writeObject(client, write("", -1))).toBe(true);
      expect(await readObject(client, lockKey, cacheKey)).toEqual(["me", null]);
    });

    test("objects of one turn are judged each for itself", async () => {
      await takeLock(client, lockKey, "you", MINUTE_MS);
      const other = (n: number) => ({
        ...write(String(n), n === 2 ? MINUTE_MS : 0),
        lock: key(`lock${n}`),
        entry: key(`object${n}`),
      });
      expect(
        await Promise.all(
          [write("0"), other(1), other(2)].map((one) =>
            writeObject(client, one),
          ),
        ),
      ).toEqual([false, true, true]);
      expect(
        await readTexts(client, [cacheKey, key("object1"), key("object2")]),
      ).toEqual([null, "1", "2"]);
      expect(await client.pttl(key("object2"))).toBeGreaterThan(0);
    });

    test("a write of several is refused when another owner holds one of the locks", async () => {
      await takeLock(client, lockKey, "you", MINUTE_MS);
      expect(await writeObjects(client, [write("1")], "me")).toBe(false);
      expect(await writeObjects(client, [write("1")], "you")).toBe(true);
      expect(await client.get(cacheKey)).toBe("1");
    });

    test("reading with a lifetime sets it, unless another owner holds the lock", async () => {
      const touch = () =>
        readAndTouch(client, [lockKey, cacheKey], "me", MINUTE_MS);
      expect(await touch()).toEqual([null, null]);
      await writeObject(client, write("1"));
      await takeLock(client, lockKey, "you", MINUTE_MS);
      expect(await touch()).toEqual(["you", "1"]);
      expect(await client.pttl(cacheKey)).toBe(-1);
      await releaseLock(client, lockKey, "you");
      expect(await touch()).toEqual([null, "1"]);
      expect(await client.pttl(cacheKey)).toBeGreaterThan(0);
    });

    test("a computed value is written if its lock, the key and the object are unchanged", async () => {
      expect(await writeComputed(client, computed("1", null))).toBe(false);
      await takeLock(client, computingLock, "t", MINUTE_MS);
      expect(await writeComputed(client, computed("1", null))).toBe(true);
      expect(await writeComputed(client, computed("2", "0"))).toBe(false);
      expect(await writeComputed(client, computed("2", "1"))).toBe(true);
      await takeLock(client, lockKey, "you", MINUTE_MS);
      expect(await writeComputed(client, computed("3", "2"))).toBe(false);
      await releaseLock(client, lockKey, "you");
      await cancelComputing(client, [computingLock, key("other")]);
      expect(await writeComputed(client, computed("3", "2"))).toBe(false);
      expect(await client.get(cacheKey)).toBe("2");
    });

    test("removing an object cancels its computation", async () => {
      const remove = (owner: string) =>
        removeObject(client, {
          lock: lockKey,
          entry: cacheKey,
          computingLock,
          owner,
        });
      await writeObject(client, write("1"));
      await takeLock(client, computingLock, "t", MINUTE_MS);
      await takeLock(client, lockKey, "you", MINUTE_MS);
      expect(await remove("me")).toBe(-1);
      expect(await remove("you")).toBe(1);
      expect(await remove("you")).toBe(0);
      expect(await client.exists(computingLock)).toBe(0);
    });

    test("a list is a queue", async () => {
      const list = key("list");
      expect(await popText(client, list)).toBeNull();
      await pushText(client, list, "a");
      await pushText(client, list, "b");
      expect(await popText(client, list)).toBe("a");
      expect(await popText(client, list)).toBe("b");
      expect(await client.exists(list)).toBe(0);
    });

    test("the register of nodes tells its time, and claims belong to one", async () => {
      const nodes = key("nodes");
      const first = await register.beat(client, nodes, "n", "one");
      expect(first.before).toBeNull();
      const { before } = await register.beat(client, nodes, "n", "two");
      expect(before).toBe(`${first.now} one`);
      const { now, entries } = await register.read(client, nodes);
      expect([...entries.keys()]).toEqual(["n"]);
      expect(now).toBeGreaterThanOrEqual(parseInt(entries.get("n")!, 10));
      await register.remove(client, nodes, "n");
      expect((await register.read(client, nodes)).entries.size).toBe(0);

      const claim = (owner: string) =>
        register.claim(client, key("claim"), owner, MINUTE_MS);
      expect([await claim("a"), await claim("b"), await claim("a")]).toEqual([
        true,
        false,
        true,
      ]);
      await register.release(client, key("claim"));
      expect(await claim("b")).toBe(true);
    });

    test("publishing says how many heard it", async () => {
      expect(await publishText(client, key("channel"), "text")).toBe(0);
    });
  });
});
