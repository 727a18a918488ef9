/** The connections to redis of docs/cluster.md, in a new project. */
import * as path from "node:path";
import { generatedProject } from "../support/generatedProject";
import { blocksOf } from "../support/documents";
import { run } from "../support/runCli";
import { repositoryRoot as root } from "../support/temporaryProject";

const CONNECTION = /^(?:export )?const connection = .*?^\}\);$/ms;
const IMPORTS = /^import .*;\n/gm;

const blocks = blocksOf("ts").filter(
  ({ page, text }) => page === "docs/cluster.md" && CONNECTION.test(text),
);

/** "The same file, with another `connection`". */
function fileWith(text: string): string {
  const [tls] = blocks;
  if (text === tls.text) return text;
  const [connection] = CONNECTION.exec(text)!;
  return (
    text.match(IMPORTS)!.join("") +
    tls.text.replace(IMPORTS, "").replace(CONNECTION, () => connection)
  );
}

const project = generatedProject();
afterAll(() => project.remove());

test("TLS, Sentinel and Redis Cluster are described", () => {
  expect(blocks).toHaveLength(3);
});

test.each(blocks.map(({ place, text }) => [place, fileWith(text)]))(
  "a new project with the redis.ts of %s compiles",
  async (_, file) => {
    expect(file).toMatch(/^export const DEFAULT = /m);
    project.write("src/config/redis.ts", file);
    project.write(
      "tsconfig.check.json",
      JSON.stringify({
        extends: "./tsconfig.json",
        include: ["./src/**/*"],
        compilerOptions: {
          noEmit: true,
          rootDir: "/",
          paths: { actionhero: [path.join(root, "src/index.ts")] },
          typeRoots: [path.join(root, "node_modules/@types")],
        },
      }),
    );
    const compiler = path.join(root, "node_modules/typescript7/bin/tsc");
    const { stdout } = await run(
      process.execPath,
      [compiler, "-p", "tsconfig.check.json"],
      { cwd: project.root },
    );
    // the sources of the framework are compiled with other settings
    const lines = stdout.split("\n").filter((line) => /^\w/.test(line));
    expect(lines).toEqual([]);
  },
  120_000,
);
