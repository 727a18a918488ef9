/** New projects differ from v29 projects in the settings of one table, and in nothing else. */
import * as fs from "fs";
import * as path from "path";
import {
  type Environment,
  type NewProjectSetting,
  newProjectSettings,
} from "../../../src/cli/generate/newProjectSettings";
import {
  generatedProject,
  linkedProject,
} from "../../support/generatedProject";
import { runOk } from "../../support/runCli";
import { buildConfigs, differences } from "../../support/profiles";
import { repositoryRoot } from "../../support/temporaryProject";

const ENVIRONMENTS: Environment[] = ["development", "test", "production"];
const rows = newProjectSettings;

// a project without config files of its own
const v29 = linkedProject({ "src/config/.keep": "" });
const generated = generatedProject();
const esm = generatedProject({ esm: true });
afterAll(() => {
  for (const project of [v29, generated, esm]) project.remove();
});

/** The paths of the configuration in which a row says that the profiles differ. */
function pathsOf({ setting, paths }: NewProjectSetting): readonly string[] {
  return paths ?? (setting.endsWith(".ts") ? [] : [setting]);
}

function rowOf(path: string, environment: Environment): string | undefined {
  const found = rows.find(
    (row) =>
      (row.environments ?? ENVIRONMENTS).includes(environment) &&
      pathsOf(row).some((own) => path === own || path.startsWith(`${own}.`)),
  );
  return found?.setting;
}

/** The value of a text that is JSON. */
function valueOf(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

describe.each(ENVIRONMENTS)("the configuration in %s", (environment) => {
  const expected = rows.filter(
    (row) =>
      pathsOf(row).length > 0 &&
      (row.environments ?? ENVIRONMENTS).includes(environment),
  );

  test.each([
    ["CommonJS", generated],
    ["ES modules", esm],
  ])(
    "a new project of %s differs from a v29 project in the settings of the table",
    (flavour, project) => {
      // jest requires CommonJS only
      if (flavour !== "CommonJS") asCommonJs(project.path("package.json"));
      const found = differences(
        buildConfigs(v29.root, environment),
        buildConfigs(project.root, environment),
      );

      const strange = [...found].filter(
        ([path]) => rowOf(path, environment) === undefined,
      );
      expect(strange).toEqual([]);
      for (const row of expected) {
        for (const path of pathsOf(row)) {
          const inside = [...found.keys()].filter(
            (one) => one === path || one.startsWith(`${path}.`),
          );
          expect([path, inside.length > 0]).toEqual([path, true]);
          const [old, fresh] = found.get(path) ?? [];
          const texts = [valueOf(row.v29), valueOf(row.newProject)];
          if (texts[0]) expect([path, old]).toEqual([path, texts[0].value]);
          if (texts[1]) expect([path, fresh]).toEqual([path, texts[1].value]);
        }
      }
    },
  );

  test("this repository as its own project has those of a v29 project", () => {
    const found = differences(
      buildConfigs(v29.root, environment),
      buildConfigs(repositoryRoot, environment),
    );
    // its own routes
    for (const name of found.keys())
      expect(name).toMatch(/^routes(\.get\.\d+\.(path|action))?$/);
  });
});

function asCommonJs(file: string): void {
  const { type: _, ...content } = JSON.parse(
    fs.readFileSync(file, "utf8"),
  ) as Record<string, unknown>;
  fs.writeFileSync(file, JSON.stringify(content));
}

/** A row as the documentation has it. */
function documented(row: NewProjectSetting): string {
  const code = (text: string) => (valueOf(text) ? `\`${text}\`` : text);
  const where = row.environments ? ` in ${row.environments.join(" and ")}` : "";
  const cells = [
    `\`${row.setting}\``,
    code(row.v29),
    code(row.newProject) + where,
    row.reason,
  ];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

describe("the table", () => {
  test("is the one of the section New projects in the documentation", () => {
    const page = fs.readFileSync(
      path.join(repositoryRoot, "docs/migrating-from-v29.md"),
      "utf8",
    );
    const section = page.split("\n## New projects\n")[1].split("\n## ")[0];
    const [, , ...lines] = section
      .split("\n")
      .filter((line) => line.startsWith("|"));
    expect(lines).toEqual(rows.map(documented));
  });

  test("is in alphabetical order, with one row for each setting", () => {
    const settings = rows.map(({ setting }) => setting);
    expect(settings).toEqual([...new Set(settings)].sort());
  });

  test.each(rows.map((row) => [row.setting, row] as const))(
    "%s edits a file that a new project has",
    (_setting, { edits }) => {
      expect(edits.length).toBeGreaterThan(0);
      for (const { file } of edits)
        expect([file, fs.existsSync(generated.path(`src/${file}`))]).toEqual([
          file,
          true,
        ]);
    },
  );

  test("what the edits write is formatted", async () => {
    const bin = require.resolve("prettier/bin/prettier.cjs");
    const names = rows.flatMap(({ edits }) => edits.map(({ file }) => file));
    for (const { root } of [generated, esm]) {
      const files = [...new Set(names)].map((name) => `src/${name}`);
      await runOk(process.execPath, [bin, "--check", ...files], { cwd: root });
    }
  });
});
