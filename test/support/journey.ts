/** Suites of the packed package: steps that go on from the files of the steps before them. */
import { Registry } from "./registry";
import { TemporaryProject } from "./temporaryProject";

/** A step may install a whole project, on a machine with other work. */
const LIMIT_MS = 600_000;

// the tests of the projects that are made here start servers beside those of this run, which take the ports of the workers
process.env.PORT = "0";

export class Journey {
  /** `npm install actionhero` finds the packed package in it, once that is published to it. */
  readonly registry = new Registry();
  /** A folder of this suite, removed at its end. */
  readonly workshop = new TemporaryProject();
  /** Printed at the end; lines without a time of their own have "0". */
  readonly times: [step: string, seconds: string][] = [];
  /** Foundations that have not passed yet. */
  private readonly missing: Set<string>;

  /** @param foundations the first steps, which make what the others use */
  constructor(foundations: string[]) {
    this.missing = new Set(foundations);
    beforeAll(() => this.registry.start());
    afterAll(async () => {
      await this.registry.stop();
      this.workshop.remove();
      console.log(this.times.map(describeTime).join("\n"));
    });
  }

  /** One test: its time is printed at the end. A step that fails leaves the others alone, unless it is a foundation. */
  step(name: string, work: () => Promise<void>): void {
    test(
      name,
      async () => {
        const [first] = this.missing;
        if (first !== undefined && first !== name)
          throw new Error(`not reached, because "${first}" failed`);
        const started = performance.now();
        await work();
        this.missing.delete(name);
        const seconds = (performance.now() - started) / 1000;
        this.times.push([name, seconds.toFixed(1)]);
      },
      LIMIT_MS,
    );
  }
}

function describeTime([name, seconds]: [string, string]): string {
  return seconds === "0" ? `        ${name}` : `${seconds} s  ${name}`;
}
