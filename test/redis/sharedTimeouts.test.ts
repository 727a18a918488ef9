import { EventEmitter, once } from "node:events";
import { Redis, type Command } from "ioredis";
import { refuseWhileAway, shareTimeouts } from "../../src/redis/commands";
import { FlakyProxy } from "../support/flakyProxy";
import { describeOnRedis, RedisServer } from "../support/redisServer";
import { until } from "../support/until";

const TIMEOUT_MS = 500;

describeOnRedis("commands that share a timer", () => {
  const server = new RedisServer();
  let redis: Redis;

  beforeAll(() => server.start());
  afterAll(() => server.stop());

  beforeEach(async () => {
    redis = new Redis(server.url, { commandTimeout: TIMEOUT_MS });
    shareTimeouts(redis);
    await redis.ping();
  });

  afterEach(async () => {
    server.resume();
    await close(redis);
  });

  function close(client: Redis): Promise<unknown> {
    const ended = once(client, "end");
    client.disconnect();
    return ended;
  }

  test("are given up when there is no answer, also in a pipeline", async () => {
    server.pause();
    const started = performance.now();
    const piped = redis.pipeline().set("b", 1).get("b").exec();
    await expect(redis.get("a")).rejects.toThrow("Command timed out");
    expect(performance.now() - started).toBeGreaterThanOrEqual(TIMEOUT_MS);
    const results = await piped;
    expect(results!.map(([error]) => error?.message)).toEqual([
      "Command timed out",
      "Command timed out",
    ]);
  });

  test("an answer that came while this process stood still is in time", async () => {
    const answer = redis.ping();
    // so that the command is on its way
    await new Promise((resolve) => setImmediate(resolve));
    const end = performance.now() + 2 * TIMEOUT_MS;
    while (performance.now() < end);
    expect(await answer).toBe("PONG");
  });

  test("a command that waits for a connection also times out", async () => {
    server.pause();
    const early = new Redis(server.url, { commandTimeout: TIMEOUT_MS });
    early.on("error", () => undefined); // its own check is given up, too
    shareTimeouts(early);
    await expect(early.get("a")).rejects.toThrow("Command timed out");
    server.resume();
    await until(() => early.status === "ready");
    await close(early);
  });

  test("a command that timed out is not sent over the next connection", async () => {
    server.pause();
    await expect(redis.rpush("list", "x")).rejects.toThrow("Command timed out");
    redis.disconnect(true);
    await once(redis, "close");
    const queued = redis.rpush("queued", "x");
    await expect(queued).rejects.toThrow("Command timed out");
    server.resume();
    await until(() => redis.status === "ready");
    // the first connection may have delivered it before
    expect(await redis.llen("list")).toBeLessThanOrEqual(1);
    expect(await redis.llen("queued")).toBe(0);
  });

  test("a client that is duplicated has its timeouts as ever", async () => {
    const copy = redis.duplicate();
    await copy.ping();
    server.pause();
    await expect(copy.get("a")).rejects.toThrow("Command timed out");
    server.resume();
    await close(copy);
  });
});

describeOnRedis("while a server is away", () => {
  const server = new RedisServer();
  const proxy = new FlakyProxy(0);
  let clients: Redis[] = [];
  let end: () => void;

  beforeAll(async () => {
    await server.start();
    proxy.targetPort = server.port;
    await proxy.start();
  });
  afterAll(async () => {
    await proxy.stop();
    await server.stop();
  });

  beforeEach(async () => {
    clients = [proxy.port, server.port].map((port) => {
      const client = new Redis({
        port,
        host: "127.0.0.1",
        commandTimeout: TIMEOUT_MS,
        retryStrategy: () => 20,
      });
      client.on("error", () => undefined);
      shareTimeouts(client);
      return client;
    });
    for (const client of clients) await client.ping();
    end = refuseWhileAway(clients);
  });

  afterEach(() => {
    end();
    server.resume();
    proxy.resume();
    for (const client of clients) client.disconnect();
  });

  /** Whether a command fails before anything else can happen. */
  async function isRefused(client: Redis): Promise<boolean> {
    let hasFailed = false;
    const sent = client.stream.bytesWritten;
    const fail = () => (hasFailed = true);
    const outcome = client.set("late", "1").catch(fail);
    await new Promise((resolve) => setImmediate(resolve));
    const isRefused = hasFailed;
    if (isRefused) expect(client.stream.bytesWritten).toBe(sent);
    await outcome;
    return isRefused;
  }

  test("a silent one: commands are refused unsent, until its late reply", async () => {
    const [, client] = clients;
    server.pause();
    await expect(client.get("a")).rejects.toThrow("Command timed out");
    expect(await isRefused(client)).toBe(true);
    const piped = await client.pipeline().set("b", 1).ping().exec();
    expect(piped!.map(([error]) => error?.message)).toEqual([
      "Command timed out",
      "Command timed out",
    ]);
    server.resume();
    await until(() =>
      client.get("late").then(
        () => true,
        () => false,
      ),
    );
    expect(await client.get("late")).toBe(null);
  });

  test("a silent one is asked by pings, and their replies end it", async () => {
    const [, client] = clients;
    server.pause();
    await expect(client.get("a")).rejects.toThrow("Command timed out");
    const pong = client.ping();
    server.resume();
    expect(await pong).toBe("PONG");
    expect(await isRefused(client)).toBe(false);
  });

  test("another connection to it that waits for a reply refuses commands, too", async () => {
    const [one, other] = clients;
    other.options.commandTimeout = 60_000;
    server.pause();
    const pong = other.ping();
    let refused = 0;
    // it has waited for a second
    await until(async () => {
      await expect(one.get("a")).rejects.toThrow("Command timed out");
      void other.get("a").catch(() => refused++);
      return refused;
    });
    server.resume();
    expect(await pong).toBe("PONG");
    expect(await isRefused(other)).toBe(false);
  });

  test("a connection that is silent alone does not affect others", async () => {
    const [one, other] = clients;
    proxy.stall();
    // ioredis does not note a reply that is an error
    other.options.commandTimeout = 60_000;
    await expect(other.call("nonsense")).rejects.toThrow("unknown command");
    const replied = performance.now();
    await until(() => performance.now() - replied > 1_000);
    await expect(one.get("a")).rejects.toThrow("Command timed out");
    expect(await isRefused(one)).toBe(true);
    expect(await isRefused(other)).toBe(false);
    proxy.resume();
    await until(() =>
      one.get("a").then(
        () => true,
        () => false,
      ),
    );
  });

  test("a lost connection refuses commands after their timeout, until the next one", async () => {
    const [client] = clients;
    await proxy.refuse();
    await until(() => isRefused(client));
    await proxy.accept();
    await until(() => client.status === "ready");
    expect(await isRefused(client)).toBe(false);
  });
});

describe("what is kept", () => {
  const timers = () => jest.getTimerCount();

  class Client extends EventEmitter {
    status = "ready";
    options = { commandTimeout: 1_000 };

    /** As ioredis does for each command of a client with a timeout. */
    sendCommand(command: Command, _stream?: unknown) {
      command.setTimeout(1_000);
    }
  }

  function connect() {
    const client = new Client();
    shareTimeouts(client as unknown as Redis);
    const send = <Sent extends object>(
      command: Sent,
      stream?: object,
    ): Sent => {
      client.sendCommand(command as unknown as Command, stream);
      return command;
    };
    return { client, send };
  }

  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  const newCommand = () => ({ isResolved: false, reject: jest.fn() });

  /**
   * Send commands that have their answer at once.
   * @returns how often it was looked whether one of them has it
   */
  function sendAnswered(send: (command: object) => object, count: number) {
    let looks = 0;
    for (let i = 0; i < count; i++) {
      let isResolved = false;
      send({
        get isResolved() {
          looks++;
          return isResolved;
        },
      });
      isResolved = true;
    }
    return () => looks;
  }

  test("is one timer, and none once all have their answers", () => {
    const { send } = connect();
    for (let i = 0; i < 1_000; i++) send(newCommand()).isResolved = true;
    expect(timers()).toBe(1);
    jest.advanceTimersByTime(1_001);
    expect(timers()).toBe(0);
  });

  test("each command is given up in its own time, unless it has its answer", () => {
    const { send } = connect();
    const first = send(newCommand());
    const fast = send(newCommand());
    jest.advanceTimersByTime(600);
    const second = send(newCommand());
    fast.isResolved = true;
    jest.advanceTimersByTime(398);
    expect(first.reject).not.toHaveBeenCalled();
    jest.advanceTimersByTime(4);
    expect(first.reject).toHaveBeenCalledWith(new Error("Command timed out"));
    jest.advanceTimersByTime(590);
    expect(second.reject).not.toHaveBeenCalled();
    jest.advanceTimersByTime(10);
    expect(second.reject).toHaveBeenCalledTimes(1);
    expect(fast.reject).not.toHaveBeenCalled();
  });

  test("the commands of a pipeline are given up together", () => {
    const { send } = connect();
    const pipeline = {};
    const first = send(newCommand(), pipeline);
    jest.advanceTimersByTime(20);
    const last = send(newCommand(), pipeline);
    jest.advanceTimersByTime(985);
    expect(first.reject).toHaveBeenCalledTimes(1);
    expect(last.reject).toHaveBeenCalledTimes(1);
  });

  function lose(client: Client) {
    client.status = "reconnecting";
    client.emit("close");
  }

  test("the commands of a pipeline are refused together, or not at all", () => {
    const { client, send } = connect();
    const end = refuseWhileAway([client as unknown as Redis]);
    lose(client);
    const pipeline = {};
    jest.advanceTimersByTime(990);
    const first = send(newCommand(), pipeline);
    jest.advanceTimersByTime(20);
    const last = send(newCommand(), pipeline);
    expect(first.reject).not.toHaveBeenCalled();
    expect(last.reject).not.toHaveBeenCalled();
    expect(send(newCommand()).reject).toHaveBeenCalledTimes(1);
    end();
  });

  test("a command that was sent before, and may take effect, is sent again and keeps its timeout", () => {
    const { client, send } = connect();
    const end = refuseWhileAway([client as unknown as Redis]);
    lose(client);
    const early = newCommand();
    const inFlight = newCommand();
    send(early);
    jest.advanceTimersByTime(600);
    send(inFlight);
    jest.advanceTimersByTime(500);
    expect(send(newCommand()).reject).toHaveBeenCalledTimes(1);
    send(inFlight); // as ioredis does over the next connection
    expect(inFlight.reject).not.toHaveBeenCalled();
    jest.advanceTimersByTime(600);
    expect(inFlight.reject).toHaveBeenCalledTimes(1);
    end();
  });

  test("a connection that is just lost refuses nothing, whatever failed before", () => {
    const { client, send } = connect();
    const end = refuseWhileAway([client as unknown as Redis]);
    send(newCommand()); // ioredis does not note a reply that is an error
    jest.advanceTimersByTime(1_010);
    send(newCommand()).isResolved = true;
    jest.advanceTimersByTime(995);
    lose(client);
    jest.advanceTimersByTime(20);
    expect(send(newCommand()).reject).not.toHaveBeenCalled();
    end();
  });

  test("nothing is kept when the connection has ended", () => {
    const { client, send } = connect();
    const command = newCommand();
    send(command);
    client.emit("end");
    expect(timers()).toBe(0);
    jest.advanceTimersByTime(5_000);
    expect(command.reject).not.toHaveBeenCalled();
  });

  test("commands that have a reply are not kept, however many are in flight", () => {
    const { send } = connect();
    const waiting = Array.from({ length: 10 }, () => send(newCommand()));
    const looks = sendAnswered(send, 20_000);
    const before = looks();
    jest.advanceTimersByTime(1_001);
    expect(looks() - before).toBeLessThan(200); // those that are still kept
    for (const { reject } of waiting) expect(reject).toHaveBeenCalledTimes(1);
  });

  test("few timers are left after a burst", () => {
    const { send } = connect();
    const burst = Array.from({ length: 10_000 }, () => send(newCommand()));
    for (const command of burst) command.isResolved = true;
    jest.advanceTimersByTime(1_002);
    const looks = sendAnswered(send, 5_000);
    const before = looks();
    jest.advanceTimersByTime(1_002);
    expect(looks() - before).toBeLessThan(200); // those that are still kept
  });

  test("a command of an ioredis that does not tell whether it has its answer keeps its own timer", () => {
    const { send } = connect();
    const command = { setTimeout: jest.fn() };
    send(command);
    expect(command.setTimeout).toHaveBeenCalledWith(1_000);
    expect(timers()).toBe(0);
  });
});
