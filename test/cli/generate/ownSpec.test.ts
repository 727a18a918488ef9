import * as path from "path";
import { ownSpec } from "../../../src/cli/generate/packageJson";
import { readActionheroVersion } from "../../../src/environment/env";
import { TemporaryProject } from "../../support/temporaryProject";

let host: TemporaryProject;

afterEach(() => host.remove());

function installedWith(
  spec: string | undefined,
  recorded: Record<string, unknown> = {},
): string {
  host = new TemporaryProject({
    "node_modules/.package-lock.json": JSON.stringify({
      packages: { "node_modules/actionhero": recorded },
    }),
    ...(spec && {
      "package.json": JSON.stringify({ dependencies: { actionhero: spec } }),
    }),
  });
  return host.path("node_modules/actionhero");
}

test("an installed tarball stays a tarball, relative to the project", () => {
  const installed = installedWith("file:../packed/actionhero.tgz");
  const packed = path.join(path.dirname(host.root), "packed/actionhero.tgz");
  const project = host.path("sub/project");
  expect(ownSpec(host.root, installed)).toBe("file:../packed/actionhero.tgz");
  expect(path.resolve(project, ownSpec(project, installed).slice(5))).toBe(
    packed,
  );
});

test("a version and a git address are written as they were asked for", () => {
  expect(ownSpec("/p", installedWith("^30.0.0"))).toBe("^30.0.0");
  host.remove();
  const git = "git+https://example.com/actionhero.git#main";
  expect(ownSpec("/p", installedWith(git))).toBe(git);
});

test("without a package.json, what npm recorded decides", () => {
  const installed = installedWith(undefined, {
    resolved: "file:../a.tgz",
  });
  expect(ownSpec(host.root, installed)).toBe("file:../a.tgz");
  host.remove();
  const linked = installedWith(undefined, { resolved: "../repo", link: true });
  expect(ownSpec(host.root, linked)).toBe("file:../repo");
});

test("an install from a registry becomes a range of this version", () => {
  const installed = installedWith(undefined, {
    version: "30.0.0",
    resolved: "https://registry.example.com/actionhero.tgz",
  });
  expect(ownSpec(host.root, installed)).toBe(`^${readActionheroVersion()}`);
});

test("a checkout that is run in place is named by its folder", () => {
  host = new TemporaryProject();
  expect(ownSpec(host.root, host.path("checkout"))).toBe("file:checkout");
});
