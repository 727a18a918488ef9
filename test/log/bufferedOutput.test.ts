import { spawnSync } from "child_process";
import * as path from "path";
import { BufferedOutput } from "../../src/log/sinks";
import { RUN_TYPESCRIPT } from "../support/sources";
import { TemporaryProject } from "../support/temporaryProject";

/** A sink that writes when the test lets it. */
class HeldSink {
  written: string[] = [];
  private release: (() => void) | undefined;

  write = (text: string) =>
    new Promise<void>((resolve) => {
      this.release = () => {
        this.written.push(text);
        resolve();
      };
    });

  writeSync = (text: string) => void this.written.push(text);

  letGo(): void {
    this.release?.();
  }
}

describe("BufferedOutput", () => {
  test("many lines leave in one write, in order", async () => {
    const written: string[] = [];
    const output = new BufferedOutput({
      write: async (text) => void written.push(text),
      writeSync: () => undefined,
    });
    for (let i = 0; i < 100; i++) output.push(`${i}\n`);
    await output.flush();
    expect(written).toEqual([
      Array.from({ length: 100 }, (_, i) => `${i}\n`).join(""),
    ]);
  });

  test("a slow destination cannot fill the memory; dropped lines are reported", async () => {
    const sink = new HeldSink();
    const output = new BufferedOutput(sink, 20);
    output.push("first\n");
    const flushed = output.flush();
    for (let i = 0; i < 10; i++) output.push(`line ${i}\n`);
    sink.letGo();
    await new Promise((resolve) => setImmediate(resolve));
    sink.letGo();
    await flushed;
    expect(sink.written.join("")).toBe(
      "first\nline 0\nline 1\n8 log lines dropped\n",
    );
  });

  test("between lines in JSON, dropped lines are reported in JSON", async () => {
    const sink = new HeldSink();
    const output = new BufferedOutput(sink, 8);
    output.push("{}\n");
    const flushed = output.flush();
    for (let i = 0; i < 3; i++) output.push('{"a":1}\n');
    sink.letGo();
    await new Promise((resolve) => setImmediate(resolve));
    sink.letGo();
    await flushed;
    const lines = sink.written.join("").trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      ...[{}, { a: 1 }],
      {
        level: "warning",
        message: "2 log lines dropped",
        timestamp: expect.any(String),
      },
    ]);
  });

  test("writes that fail are reported on the console, once until one succeeds, and do not throw", async () => {
    const told = jest.spyOn(console, "error").mockImplementation(() => {});
    let isFull = true;
    const output = new BufferedOutput({
      write: async () => {
        if (isFull) throw new Error("disk full");
      },
      writeSync: () => undefined,
    });
    const flush = async (line: string) => {
      output.push(line);
      await output.flush();
    };
    await flush("lost\n");
    await flush("lost, too\n");
    expect(told.mock.calls).toEqual([["cannot write log: Error: disk full"]]);
    isFull = false;
    await flush("written\n");
    isFull = true;
    await flush("lost\n");
    expect(told).toHaveBeenCalledTimes(2);
    told.mockRestore();
  });

  test("what comes during a write is collected, too, also when that write fails", async () => {
    jest.useFakeTimers();
    const told = jest.spyOn(console, "error").mockImplementation(() => {});
    const writes: { text: string; fail: (error: Error) => void }[] = [];
    const output = new BufferedOutput({
      write: (text) =>
        new Promise((_resolve, fail) => writes.push({ text, fail })),
      writeSync: () => undefined,
    });
    output.push("first\n");
    await jest.advanceTimersByTimeAsync(10);
    output.push("second\n");
    writes[0].fail(new Error("disk full"));
    await jest.advanceTimersByTimeAsync(5);
    output.push("third\n");
    expect(writes).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(50);
    expect(writes.map(({ text }) => text)).toEqual([
      "first\n",
      "second\nthird\n",
    ]);
    jest.useRealTimers();
    told.mockRestore();
  });

  test("what waits when the process exits is written first", () => {
    const root = path.join(__dirname, "../..");
    const project = new TemporaryProject({
      "main.ts": `
        import { log } from ${JSON.stringify(path.join(root, "src/log/log"))};
        for (let i = 0; i < 2000; i++) log("line " + i);
        process.exit(3);`,
    });
    const { stdout, status } = spawnSync(
      process.execPath,
      [...RUN_TYPESCRIPT, project.path("main.ts")],
      {
        cwd: root,
        env: { ...process.env, NODE_ENV: "development", LOG_LEVEL: "info" },
        encoding: "utf8",
      },
    );
    project.remove();
    expect(status).toBe(3);
    expect(stdout.match(/line \d+/g)).toHaveLength(2000);
  });
});
