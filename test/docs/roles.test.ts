/** The roles of docs/tasks.md, in a generated project. */
import * as fs from "node:fs";
import { generatedProject, startProject } from "../support/generatedProject";
import { blocksOf } from "../support/documents";
import type { TemporaryProject } from "../support/temporaryProject";

let project: TemporaryProject;

afterAll(() => project.remove());

/** Puts `const web = { enabled: true };` below "in src/config/web.ts" into that file. */
function apply(block: string): void {
  for (const [, file, settings] of block.matchAll(
    /in src\/config\/(\w+)\.ts.*\n(?:\/\/.*\n)*const \w+ = \{([^}]*)\}/g,
  )) {
    const at = project.path(`src/config/${file}.ts`);
    let text = fs.readFileSync(at, "utf8");
    for (const [, key, value] of settings.matchAll(/(\w+): ([^,]*[^,\s])/g)) {
      const line = new RegExp(`^( +)${key}: .*,$`, "m");
      expect([file, key, text]).toEqual([
        file,
        key,
        expect.stringMatching(line),
      ]);
      text = text.replace(line, (_, indent) => `${indent}${key}: ${value},`);
    }
    fs.writeFileSync(at, text);
  }
}

test("each role starts, with the servers that it has", async () => {
  project = generatedProject();
  const [block] = blocksOf("ts").filter(
    ({ page, text }) => page === "docs/tasks.md" && text.includes("ROLE"),
  );
  apply(block.text);
  const hasServers = async (ROLE: string | undefined) => {
    const { port, service } = await startProject(project, { ROLE });
    const found = await fetch(`http://127.0.0.1:${port}/api/status`).then(
      ({ ok }) => ok,
      () => false,
    );
    await service.stop();
    return found;
  };
  await expect(hasServers("worker")).resolves.toBe(false);
  await expect(hasServers("web")).resolves.toBe(true);
  await expect(hasServers(undefined)).resolves.toBe(true);
}, 90_000);
