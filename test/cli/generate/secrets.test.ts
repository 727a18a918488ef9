import * as fs from "fs";
import { parseEnv } from "util";
import { generateQuietly } from "../../support/generatedProject";
import { TemporaryProject } from "../../support/temporaryProject";

let project: TemporaryProject;
afterEach(() => project.remove());

const read = (name: string) => fs.readFileSync(project.path(name), "utf8");
const TOKEN = /^ACTIONHERO_SERVER_TOKEN=([0-9a-f]{64})$/m;

function generate(files: Record<string, string> = {}) {
  project = new TemporaryProject(files);
  generateQuietly(project.root, { minimal: true });
}

test("a new project has a random token in .env, for its owner's eyes only", () => {
  generate();
  const [, first] = TOKEN.exec(read(".env"))!;
  expect(fs.statSync(project.path(".env")).mode & 0o777).toBe(0o600);
  expect(read(".gitignore").split("\n")).toContain(".env");
  project.remove();
  generate();
  expect(TOKEN.exec(read(".env"))![1]).not.toBe(first);
});

test("a second generate keeps the token", () => {
  generate();
  const before = read(".env");
  generateQuietly(project.root, { minimal: true });
  expect(read(".env")).toBe(before);
});

test.each(["PORT=1234", "PORT=1234\nACTIONHERO_SERVER_TOKEN=\n"])(
  "the token is added to a .env that has none (%j)",
  (present) => {
    generate({ ".env": present });
    const text = read(".env");
    expect(text.startsWith(present)).toBe(true);
    expect(text).toMatch(TOKEN);
    expect(parseEnv(text).ACTIONHERO_SERVER_TOKEN).toHaveLength(64);
  },
);

test.each([
  "ACTIONHERO_SERVER_TOKEN=mine",
  "export ACTIONHERO_SERVER_TOKEN = 'mine'",
])("a token that is there stays (%s)", (present) => {
  generate({ ".env": present });
  expect(read(".env")).toBe(present);
});

test("lists of ignored files that are there get .env when they lack it", () => {
  generate({ ".gitignore": "dist", ".dockerignore": "dist\n.env*\n" });
  expect(read(".gitignore")).toBe("dist\n.env\n");
  expect(read(".dockerignore")).toBe("dist\n.env*\n");
});
