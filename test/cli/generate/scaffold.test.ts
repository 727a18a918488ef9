/** What a generator says of files that are there already, and of those that cannot be written. */
import * as fs from "fs";
import * as path from "path";
import { Scaffold } from "../../../src/cli/generate/templates";
import { TemporaryProject } from "../../support/temporaryProject";

let project: TemporaryProject;
let printed: string[];

beforeEach(() => {
  project = new TemporaryProject({ "mine.txt": "mine" });
  printed = [];
  jest.spyOn(console, "log").mockImplementation((line) => {
    printed.push(String(line));
  });
});

afterEach(() => {
  jest.restoreAllMocks();
  project.remove();
});

test("a file that is there is kept, which is not an error", () => {
  const file = path.join(project.root, "mine.txt");
  const scaffold = new Scaffold(project.root);
  scaffold.write("mine.txt", "theirs");
  expect(printed).toEqual([`kept: file '${file}' already exists`]);
  expect(fs.readFileSync(file, "utf8")).toBe("mine");
});

test("a file that cannot be written ends the generator", () => {
  fs.mkdirSync(path.join(project.root, "a.txt"));
  const scaffold = new Scaffold(project.root);
  expect(() => scaffold.write("a.txt", "text")).toThrow(/EISDIR/);
  expect(printed).toEqual([]);
});
