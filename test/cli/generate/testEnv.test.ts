/** What the tests of a new project see of its file `.env`. */
import * as fs from "fs";
import * as path from "path";
import { generatedProject } from "../../support/generatedProject";
import { runOk } from "../../support/runCli";
import { repositoryRoot } from "../../support/temporaryProject";

const jestFile = require.resolve("jest/bin/jest");

test.each([{ esm: false }, { esm: true }])(
  "tests read .env, without the ports and redis of the server: %p",
  async (options) => {
    const project = generatedProject(options, {
      ".env": "SECRET=of .env\nSET=of .env\nPORT=1\nREDIS_URL=redis://x\n",
    });
    try {
      for (const name of ["ts-jest", "typescript"])
        fs.symlinkSync(
          path.join(repositoryRoot, "node_modules", name),
          project.path(`node_modules/${name}`),
        );
      project.write(
        "__tests__/env.cjs",
        `test("env", () => {
          const { SECRET, SET, PORT, REDIS_URL, ACTIONHERO_SERVER_TOKEN } = process.env;
          expect({ SECRET, SET, PORT, REDIS_URL }).toEqual({ SECRET: "of .env", SET: "before" });
          expect(ACTIONHERO_SERVER_TOKEN).toMatch(/^[0-9a-f]{64}$/);
        });`,
      );
      const file = project.path("__tests__/env.cjs");
      await runOk(process.execPath, [jestFile, "--runTestsByPath", file], {
        cwd: project.root,
        env: {
          SET: "before",
          PORT: undefined,
          REDIS_URL: undefined,
          SECRET: undefined,
          ACTIONHERO_SERVER_TOKEN: undefined,
        },
      });
    } finally {
      project.remove();
    }
  },
);
