/** The blocks of docs/tracing.md are files of a project: the spans of this one have the names of the environment. */
import * as fs from "node:fs";
import * as path from "node:path";
import { ask } from "../support/ask";
import { blocksOf } from "../support/documents";
import { generatedProject, startProject } from "../support/generatedProject";
import { repositoryRoot } from "../support/temporaryProject";

const PACKAGES = "node_modules/@opentelemetry";

test("OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name the service", async () => {
  const blocks = blocksOf("ts")
    .filter(({ page }) => page === "docs/tracing.md")
    .flatMap(({ text }): [string, string][] => {
      const [, file] = /^\/\/ (src\/\S+)/.exec(text) ?? [];
      return file ? [[file, text]] : [];
    });
  expect(blocks.map(([file]) => file)).toEqual([
    "src/config/tracing.ts",
    "src/initializers/telemetry.ts",
  ]);
  const project = generatedProject();
  for (const [file, text] of blocks) project.write(file, text);
  fs.symlinkSync(path.join(repositoryRoot, PACKAGES), project.path(PACKAGES));
  const { port, service } = await startProject(project, {
    ACTIONHERO_SERVER_TOKEN: "of the test",
    ACTIONHERO_CONFIG_OVERRIDES: '{"general":{"drainDelay":0}}',
    NODE_ENV: "production",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=staging",
    OTEL_SERVICE_NAME: "my-shop",
  });
  expect((await ask(port, "/api/status")).status).toBe(200);
  expect(await service.stop("SIGINT")).toBe(0);
  project.remove();

  const valuesOf = (attribute: string) => [
    ...new Set(service.printed.match(new RegExp(`'${attribute}': .*`, "g"))),
  ];
  expect(valuesOf("service.name")).toEqual(["'service.name': 'my-shop',"]);
  expect(valuesOf("deployment.environment.name")).toEqual([
    "'deployment.environment.name': 'staging',",
  ]);
}, 60_000);
