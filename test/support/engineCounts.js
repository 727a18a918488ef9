/**
 * A reporter of jest: says how many tests ran on the embedded engine and how many on a real redis, and fails the run
 * when they differ by anything that is not named here.
 */
const path = require("node:path");

const ENGINES = ["embedded", "redis"];

const OUTAGE = "the embedded engine cannot go away";

/** `<suite> > <test>`: why it is there on one engine only. */
const DIFFERENCES = {
  embedded: {
    "names of rooms > half a character":
      "a text with half a surrogate pair is no UTF-8, so it cannot be sent to a server",
  },
  redis: {
    "a stop with a request and a job in flight > a stop ends when redis hangs, with a job in flight":
      OUTAGE,
    "a stop with a request and a job in flight > a stop ends when redis is gone, with a job in flight":
      OUTAGE,
    "commands for tasks > the programs: run, list and failed, in both spellings":
      "programs of their own see the queue of the test on a server only",
    "the task module > enqueueMany sends few calls, each with a bounded number of bytes":
      "the embedded engine makes no calls",
    "stored sessions > while redis is away, clients with a session are told so, and others are served":
      OUTAGE,
    "the rate limit > while redis is away everybody is let in, and soon":
      OUTAGE,
    "many members > four times as many cost four times the work":
      "each step on a hash costs the embedded engine its whole size",
  },
};

module.exports = class EngineCounts {
  onRunComplete(_contexts, { testResults }) {
    const suites = testResults.map(suiteOf);
    if (!suites.some(({ redis }) => redis.size > 0)) return; // nothing to compare with
    this.unnamed = suites.flatMap(differencesOf);
    const [embedded, redis] = ENGINES.map((engine) =>
      suites.reduce((count, suite) => count + suite[engine].size, 0),
    );
    const named = suites.flatMap((suite) =>
      ENGINES.flatMap((engine) => onlyOn(suite, engine)),
    );
    const lines = [
      `engines: ${embedded} tests on the embedded one, ${redis} on a real redis-server`,
      ...named.map(({ name, engine }) => {
        const reason = DIFFERENCES[engine][name] ?? "NOT NAMED";
        return `  only ${engine}: ${name} (${reason})`;
      }),
    ];
    process.stderr.write(`${lines.join("\n")}\n`);
  }

  getLastError() {
    if (!this.unnamed?.length) return undefined;
    return new Error(
      `tests on one engine only, without a reason in ${path.basename(__filename)}: ${this.unnamed.join(", ")}`,
    );
  }
};

/** The names of a file's tests by engine; those outside of `describeOnEachEngine` are on none. */
function suiteOf({ testResults }) {
  const suite = { embedded: new Set(), redis: new Set() };
  for (const { ancestorTitles, title } of testResults) {
    const [, outer, engine] =
      /^(.*) \((embedded|redis)\)$/s.exec(ancestorTitles[0] ?? "") ?? [];
    if (!engine) continue;
    suite[engine].add([outer, ...ancestorTitles.slice(1), title].join(" > "));
  }
  return suite;
}

function onlyOn(suite, engine) {
  const other = ENGINES.find((name) => name !== engine);
  return [...suite[engine]]
    .filter((name) => !suite[other].has(name))
    .map((name) => ({ name, engine }));
}

function differencesOf(suite) {
  return ENGINES.flatMap((engine) => onlyOn(suite, engine))
    .filter(({ name, engine }) => !Object.hasOwn(DIFFERENCES[engine], name))
    .map(({ name, engine }) => `${name} (${engine})`);
}
