/** `utils.safeGlobSync` and the glob that version 29 came with find the same. */
import * as fs from "node:fs";
import { safeGlobSync, type GlobOptions } from "../../src/publicUtils";
import { describeWithPeers, peerPath } from "../support/peers";
import { TemporaryProject } from "../support/temporaryProject";

describeWithPeers("safeGlobSync and the glob of version 29", () => {
  const theirs = require(peerPath("glob")) as {
    sync(pattern: string, options?: object): string[];
  };

  const project = new TemporaryProject({
    "a.ts": "",
    "B.js": "",
    "b.js": "",
    "ä.ts": "",
    "c.d.ts": "",
    ".hidden.ts": "",
    "with space/[x] (1).ts": "",
    "sub/a.ts": "",
    "sub/deep/er/z.js": "",
    "sub/folder.ts/inside.js": "",
    ".dot/a.ts": "",
    "node_modules/m/index.js": "",
  });
  afterAll(() => project.remove());

  beforeAll(() => {
    fs.symlinkSync(project.path("sub"), project.path("link"));
    fs.symlinkSync(project.path("a.ts"), project.path("linked.ts"));
    fs.symlinkSync(project.path("nowhere"), project.path("broken.ts"));
  });

  const PATTERNS = [
    "**/**/*(*.js|*.ts)",
    "**/*.ts",
    "*.ts",
    "*.{js,ts}",
    "sub/**",
    "sub/*",
    "sub",
    "a.ts",
    "missing/*.ts",
    "?.js",
    "[ab].*",
    "!(a).ts",
    "+(a|b).*",
    "link/*.ts",
    "with space/*.ts",
  ];

  test.each(PATTERNS)("%s, absolute", (pattern) => {
    const absolute = `${project.root}/${pattern}`;
    expect(safeGlobSync(absolute)).toEqual(theirs.sync(absolute));
  });

  test.each<[string, GlobOptions]>([
    ["**/*.ts", {}],
    ["**/*.ts", { dot: true }],
    ["**/*", { nodir: true }],
    ["*", { absolute: true }],
    ["b.*", { nocase: true }],
    ["**/*.ts", { ignore: "**/*.d.ts" }],
    ["**/*.ts", { ignore: ["sub/**", "link/**"] }],
    ["./*.ts", {}],
    ["*/", {}],
    ["**/", {}],
    ["a.ts/", {}],
    ["sub/", {}],
  ])("%s in a folder, with %j", (pattern, options) => {
    const all = { cwd: project.root, ...options };
    expect(safeGlobSync(pattern, all)).toEqual(theirs.sync(pattern, all));
  });
});
