import { parseTarget, splitUrl } from "../../../src/server/requestTarget";

const config = {
  urlPathForActions: "api",
  urlPathForFiles: "public",
  rootEndpointType: "file",
} as const;

test.each([
  ["/api/status", "api", ["status"]],
  ["/api", "api", []],
  ["/api/", "api", []],
  ["//api///x", "api", ["", "", "x"]],
  ["/API/status", "file", ["API", "status"]],
  ["/apis", "file", ["apis"]],
  ["/", "file", []],
  ["", "file", []],
  ["/public/a/b/", "file", ["a", "b"]],
  ["/a//b", "file", ["a", "", "b"]],
  ["/a//", "file", ["a", ""]],
  ["/a%2Fb/%20", "file", ["a%2Fb", "%20"]],
])("%s: %s %j", (url, mode, pathParts) => {
  expect(parseTarget(url, config)).toMatchObject({ mode, pathParts });
});

test("the extension is what follows the last dot", () => {
  expect(parseTarget("/api/a.b.png?x=1.c", config).extension).toBe("png");
  expect(parseTarget("/api/a", config).extension).toBeUndefined();
});

test.each([
  ["/a?b=1", "/a", "?b=1"],
  ["/a?b=?c", "/a", "?b=?c"],
  ["/a#b?c", "/a", ""],
  ["http://host:1/a?b", "/a", "?b"],
  ["http://host", "/", ""],
  ["*", "/*", ""],
  ["", "/", ""],
])("splits %j", (url, pathname, search) => {
  expect(splitUrl(url)).toEqual({ pathname, search });
});

test("changed prefixes are seen", () => {
  const other = { ...config, urlPathForActions: "/deep/er/" };
  expect(parseTarget("/deep/er/x", other)).toMatchObject({
    mode: "api",
    pathParts: ["x"],
  });
  expect(parseTarget("/deep/er/x", config).mode).toBe("file");
});

test("a repeated path has the same result, whose parts cannot be changed", () => {
  const first = parseTarget("/api/a/b.json?x=1", config);
  const expected = { ...first, pathParts: [...first.pathParts] };
  expect(() => (first.pathParts as string[]).push("c")).toThrow(TypeError);
  expect(parseTarget("/api/a/b.json?x=1", config)).toEqual(expected);
  for (let i = 0; i < 3_000; i++)
    expect(parseTarget(`/api/${i}`, config).pathParts).toEqual([String(i)]);
  expect(parseTarget("/api/a/b.json?x=1", config)).toEqual(expected);
  const root = { ...config, rootEndpointType: "api" } as const;
  expect(parseTarget("/elsewhere", config).mode).toBe("file");
  expect(parseTarget("/elsewhere", root).mode).toBe("api");
});
