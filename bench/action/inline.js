/** Runs an action in-line, one call after the other, with whichever actionhero the project's node_modules hold. */
const { report } = require("../support/report");
const { createRequire } = require("node:module");
const path = require("node:path");

const projectRequire = createRequire(path.join(process.cwd(), "package.json"));
const { Process, action } = projectRequire("actionhero");

/** The clock is asked only so often: that costs, too. */
const CALLS = 100;

async function work(ms) {
  const end = performance.now() + ms;
  let calls = 0;
  do {
    for (let i = 0; i < CALLS; i++) {
      const { half } = await action.run("number", undefined, { max: "10" });
      if (half !== 5) throw new Error(`half of 10 is ${half}`);
    }
    calls += CALLS;
  } while (performance.now() < end);
  return calls;
}

new Process().start().then(() => report(0, work));
