/** Runs the sh blocks of the documentation as a reader would, and keeps account of what was run. */
import { blocksOf, linesOf, type Block } from "./documents";
import { ask } from "./ask";
import { freePort } from "./freePort";
import { run } from "./runCli";
import { Service } from "./service";
import { until } from "./until";

/** What serves until Ctrl-C. */
const SERVES =
  /\bnpm (?:start|run dev)\b|\bnode dist\/server\.js|\bactionhero start(?:-cluster)?\b/;
/** The redis of the documents; that of the test takes its place. */
const REDIS_ADDRESS = /redis:\/\/[\w.-]+(?::\d+)?/g;
/** A line may install a whole project, on a machine with other work. */
const LIMIT_MS = 240_000;

/** First lines of the README's blocks that are run in a copy of the repository (test/package/clone.test.ts). */
export const RUN_IN_A_CLONE = ["npm ci && npm start", "npm ci && npm test"];

export interface Circumstances {
  cwd: string;
  env?: Record<string, string | undefined>;
  /** The address of a redis-server. */
  redis?: string;
  /** Asked while a line serves, with its port. */
  whileServing?: (port: number, server: Service) => Promise<void>;
}

export class ShellBlocks {
  readonly all: Block[] = blocksOf("sh");
  private readonly ran = new Set<Block>();
  /** Commands that were run, in which folder. */
  private readonly done: { cwd: string; command: string }[] = [];

  /** @param env for every line */
  constructor(private readonly env: () => Record<string, string | undefined>) {}

  /** Blocks that were not run. */
  get left(): Block[] {
    return this.all.filter((block) => !this.ran.has(block));
  }

  get lines(): string[] {
    return [...this.ran].flatMap(linesOf);
  }

  /** Take a command as run in the folder. */
  assume(command: string, cwd: string): void {
    this.done.push({ cwd, command });
  }

  /** Whether this command was run in the folder, alone or as a part of a line. */
  wasRun(command: string, cwd: string): boolean {
    return this.done.some(
      (entry) => entry.cwd === cwd && entry.command === command,
    );
  }

  /** @param first the first line of the block, which tells it from other blocks of the page */
  find(page: string, first: string): Block {
    const block = this.all.find(
      (block) => block.page === page && commandOf(linesOf(block)[0]) === first,
    );
    if (!block) throw new Error(`${page} has no block that begins: ${first}`);
    return block;
  }

  /**
   * Run the lines of a block, one after the other in one shell; only the last one may serve.
   * @param first its first line, which tells it from other blocks of the page
   * @returns what the lines printed before the last one served
   */
  async run(
    page: string,
    first: string,
    circumstances: Circumstances,
  ): Promise<string> {
    const block = this.find(page, first);
    const lines = linesOf(block);
    const served = lines.findIndex((line) => SERVES.test(line));
    const ending = served < 0 ? lines.length : served;
    if (served >= 0 && served < lines.length - 1)
      throw new Error(`${block.place}: nothing follows what serves`);

    const script = lines.slice(0, ending);
    const printed =
      script.length > 0 ? await this.end(script, circumstances) : "";
    if (served >= 0) await this.serve(lines[served], circumstances);
    this.ran.add(block);
    for (const command of lines.flatMap((line) => line.split(" && ")))
      this.done.push({ cwd: circumstances.cwd, command });
    return printed;
  }

  /** Lines that end by themselves. */
  private async end(
    lines: string[],
    { cwd, env, redis }: Circumstances,
  ): Promise<string> {
    const script = lines.map((line) => this.written(line, cwd, redis));
    const { exitCode, stdout, stderr } = await run(
      "bash",
      ["-ec", script.join("\n")],
      { cwd, env: { ...this.env(), ...env }, limitMs: LIMIT_MS },
    );
    if (exitCode === 0) return stdout;
    throw new Error(
      `ended with ${exitCode}:\n${script.join("\n")}\n\n${stdout}\n${stderr}`,
    );
  }

  /** A line that serves: it answers on its port, and Ctrl-C ends it, with all that it has started. */
  private async serve(
    line: string,
    { cwd, env, redis, whileServing }: Circumstances,
  ): Promise<void> {
    const port = await freePort();
    const server = new Service("bash", ["-c", this.written(line, cwd, redis)], {
      cwd,
      env: { ...this.env(), PORT: String(port), ...env },
      detached: true, // a group of its own, as a terminal gives it
    });
    let ended = false;
    void server.exit.then(() => (ended = true));
    const answers = () =>
      ask(port, "/api/status").then(
        ({ status }) => status === 200,
        () => false,
      );
    try {
      await until(async () => ended || (await answers()), LIMIT_MS, line);
      if (ended) throw new Error(`${line}\n\n${server.lines.join("\n")}`);
      await whileServing?.(port, server);
      process.kill(-server.child.pid!, "SIGINT");
      const [code, signal] = await server.exit;
      // npm ends by the signal that it was sent, when what it runs has stopped
      if (code !== 0 && signal !== "SIGINT")
        throw new Error(`${line}: ${code} ${signal}`);
      expect(server.lines.at(-1)).toMatch(/Stopped \*\*\*|\[cluster.* stopped/);
      expect(await answers()).toBe(false);
    } finally {
      if (!ended) process.kill(-server.child.pid!, "SIGKILL");
    }
  }

  /** The line as it is, but for the address of redis, and for an install that was already made in this folder. */
  private written(line: string, cwd: string, redis?: string): string {
    const fresh = this.wasRun("npm ci", cwd)
      ? line.replace(/^npm ci && /, "")
      : line;
    return redis ? fresh.replace(REDIS_ADDRESS, redis) : fresh;
  }
}

/** A line without the comment behind its command. */
function commandOf(line: string): string {
  return line.replace(/\s+#.*$/, "");
}
