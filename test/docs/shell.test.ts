/** Runs the sh blocks of the documentation, line by line, each block in a project of its own. */
import * as fs from "node:fs";
import * as path from "node:path";
import { freePort } from "../support/freePort";
import { run } from "../support/runCli";
import { repositoryRoot, TemporaryProject } from "../support/temporaryProject";

/** What is not run here, and why; test/package/journey.test.ts runs these on the packed package, where it can. */
const LEFT_OUT: [line: RegExp, reason: string][] = [
  [/^npm (?:ci|install)\b/, "installs from a registry"],
  [/^npm (?:run build|test)\b/, "needs what an install brings"],
  [/^(?:\w+=\S+ )?npm (?:start|run dev)\b/, "serves until it is stopped"],
  [/npx actionhero start-cluster\b/, "needs redis, serves until it is stopped"],
];

interface Block {
  /** `docs/plugins.md:49` */
  place: string;
  run: string[];
  leftOut: string[];
}

const pages = [
  "README.md",
  "examples/README.md",
  ...fs
    .readdirSync(path.join(repositoryRoot, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

const blocks = pages.flatMap((page): Block[] => {
  const text = fs.readFileSync(path.join(repositoryRoot, page), "utf8");
  return [...text.matchAll(/^```(?:sh|bash)\n(.*?)^```/gms)].map((match) => {
    const lines = match[1].trim().split("\n");
    return {
      place: `${page}:${text.slice(0, match.index).split("\n").length}`,
      run: lines.filter((line) => !reasonAgainst(line)),
      leftOut: lines.filter(reasonAgainst),
    };
  });
});

function reasonAgainst(line: string): string | undefined {
  return LEFT_OUT.find(([pattern]) => pattern.test(line))?.[1];
}

/** `npx actionhero`, as installed: the sources of this repository. */
const npx = `#!/bin/sh
[ "$1" = actionhero ] || { echo "npx $1 is not known here" >&2; exit 9; }
shift
exec "${process.execPath}" --import "${require.resolve("tsx")}" "${path.join(repositoryRoot, "bin", "actionhero.ts")}" "$@"
`;

const tools = new TemporaryProject();
beforeAll(() => fs.chmodSync(tools.write("npx", npx), 0o755));
afterAll(() => tools.remove());

test("every line is run, or one of a few that are left out for a reason", () => {
  const lines = blocks.flatMap(({ leftOut }) => leftOut);
  const ran = blocks.flatMap((block) => block.run);
  process.stdout.write(
    `${blocks.length} sh blocks: ${ran.length} lines run, ${lines.length} left out\n` +
      lines.map((line) => `  ${line}: ${reasonAgainst(line)}\n`).join(""),
  );
  expect(ran.length).toBeGreaterThan(3);
  const unused = LEFT_OUT.filter(
    ([pattern]) => !lines.some((line) => pattern.test(line)),
  );
  expect(unused).toEqual([]);
});

test.each(blocks.filter((block) => block.run.length > 0))(
  "$place",
  async (block) => {
    const project = new TemporaryProject({
      "package.json": JSON.stringify({ name: "reader", version: "1.0.0" }),
      "dist/config/all.js": `
        exports.DEFAULT = { general: () => ({ serverToken: "of my own" }) };`,
    });
    const { exitCode, stdout, stderr } = await run(
      "bash",
      ["-ec", block.run.join("\n")],
      {
        cwd: project.root,
        env: {
          PATH: `${tools.root}${path.delimiter}${process.env.PATH}`,
          PORT: String(await freePort()),
          ACTIONHERO_TYPESCRIPT_MODE: "false",
          REDIS_URL: undefined,
          REDIS_HOST: undefined,
        },
      },
    );
    project.remove();
    expect({ exitCode, stderr, stdout }).toMatchObject({
      exitCode: 0,
      stderr: "",
    });
  },
  60_000,
);
