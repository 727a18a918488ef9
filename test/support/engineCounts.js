/** How many tests of a run were on the embedded engine and how many on a real redis, and which were on one of them only. */

const ENGINES = ["embedded", "redis"];

/** The title that `engine.only` of engines.ts gives to its tests, with their reason. */
const REASON = /^only on (?:embedded|redis), (.+)$/s;

/** @returns what to print, and the tests that one engine lacks without a reason */
module.exports = function compareEngines(testResults) {
  const suites = testResults.map(suiteOf);
  if (!suites.some(({ redis }) => redis.size > 0))
    return { lines: [], unexplained: [] }; // there is no redis to compare with
  const [embedded, redis] = ENGINES.map((engine) =>
    suites.reduce((count, suite) => count + suite[engine].size, 0),
  );
  const single = suites.flatMap((suite) =>
    ENGINES.flatMap((engine) => onlyOn(suite, engine)),
  );
  return {
    lines: [
      `engines: ${embedded} tests on the embedded one, ${redis} on a real redis-server`,
      ...single.map(
        ({ name, engine, reason = "NO REASON GIVEN" }) =>
          `  only ${engine}: ${name} (${reason})`,
      ),
    ],
    unexplained: single
      .filter(({ reason }) => !reason)
      .map(
        ({ name, engine }) =>
          `${name}: on the ${engine} engine only, without engine.only and a reason`,
      ),
  };
};

/** The tests of a file by engine, name to titles; those outside of `describeOnEachEngine` are on none. */
function suiteOf({ testResults }) {
  const suite = { embedded: new Map(), redis: new Map() };
  for (const { ancestorTitles, title } of testResults) {
    const [, outer, engine] =
      /^(.*) \((embedded|redis)\)$/s.exec(ancestorTitles[0] ?? "") ?? [];
    if (!engine) continue;
    const titles = [outer, ...ancestorTitles.slice(1), title];
    suite[engine].set(titles.join(" > "), titles);
  }
  return suite;
}

function onlyOn(suite, engine) {
  const other = ENGINES.find((name) => name !== engine);
  return [...suite[engine]]
    .filter(([name]) => !suite[other].has(name))
    .map(([, titles]) => ({
      name: titles.filter((title) => !REASON.test(title)).join(" > "),
      engine,
      reason: titles.map((title) => REASON.exec(title)?.[1]).find(Boolean),
    }));
}
