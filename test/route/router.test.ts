import * as fc from "fast-check";
import { Router } from "../../src/route/router";
import { compilePath, literalOf, matchURL } from "../../src/route/matchUrl";
import type { RouteType } from "../../src/route/tables";

/** What v29 does: try one after the other. */
function linearScan(routes: RouteType[], parts: string[]) {
  for (const route of routes) {
    const { match, params } = matchURL(
      parts,
      route.path,
      route.matchTrailingPathParts,
    );
    if (match) return { route, params };
  }
  return undefined;
}

const segment = fc.constantFrom(
  "a",
  "B",
  "b",
  "c",
  ":x",
  ":y",
  "v:version",
  "a:z",
  "%61",
  "%25zz",
  ":n(\\d)",
  ":m(^[ab]$)",
  ":k(^(?:a|1)$)",
);
const part = fc.constantFrom(
  ...["a", "A", "b", "c", "v1", "1", "ab", "", "%20", "%61", "%zz", "%25zz"],
);
const route = fc.record({
  path: fc
    .array(segment, { maxLength: 4 })
    .map((parts) => `/${parts.join("/")}`),
  action: fc.constant("x"),
  matchTrailingPathParts: fc.boolean(),
});

test("the index finds what a linear scan finds first", () => {
  fc.assert(
    fc.property(
      fc.array(route, { maxLength: 30 }),
      fc.array(fc.array(part, { maxLength: 6 }), {
        minLength: 1,
        maxLength: 10,
      }),
      (routes, paths) => {
        const router = new Router(routes);
        for (const parts of paths) {
          const expected = linearScan(routes, parts);
          const found = router.match(parts);
          expect(found?.route).toBe(expected?.route);
          expect(found?.params).toEqual(expected?.params);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

/** Of one route after the other: where its variable `name` would begin, if the parts before it are the route's. */
function linearVariable(routes: RouteType[], parts: string[], name: string) {
  const found = routes.flatMap(({ path }) => {
    const { segments } = compilePath(path);
    const at = segments.findIndex(
      (one, i) => one.name === name && parts[i]?.startsWith(one.prefix),
    );
    const isBefore = segments
      .slice(0, Math.max(at, 0))
      .every(({ literal, prefix }, i) =>
        literal === undefined
          ? parts[i].startsWith(prefix)
          : literalOf(parts[i]) === literal,
      );
    return at !== -1 && isBefore ? [at] : [];
  });
  return found.length > 0 ? Math.min(...found) : undefined;
}

test("the index finds the first part that a named variable takes, as a linear scan does", () => {
  fc.assert(
    fc.property(
      fc.array(route, { maxLength: 30 }),
      fc.array(
        part.filter((one) => one !== ""),
        { maxLength: 6 },
      ),
      fc.constantFrom("x", "y", "version", "n"),
      (routes, parts, name) => {
        const router = new Router(routes);
        expect(router.firstVariable(parts, (one) => one === name)).toBe(
          linearVariable(routes, parts, name),
        );
      },
    ),
  );
});

test("one lookup visits a bounded number of patterns, however many routes there are", () => {
  const visits = (count: number) => {
    let tests = 0;
    const counting = /^\d+$/;
    const original = counting.test.bind(counting);
    const spy = jest
      .spyOn(RegExp.prototype, "test")
      .mockImplementation(function (text) {
        tests++;
        return original(text);
      });
    try {
      const routes = Array.from({ length: count }, (_, i) => ({
        path: `/area${i}/:id(^\\d+$)/show`,
        action: `a${i}`,
      }));
      const router = new Router(routes);
      expect(
        router.match([`area${count - 1}`, "5", "show"])?.route.action,
      ).toBe(`a${count - 1}`);
      return tests;
    } finally {
      spy.mockRestore();
    }
  };
  expect(visits(1000)).toBe(visits(10));
});

test("a route with a broken pattern is left out, the others work", () => {
  const router = new Router([
    { path: "/:x(((", action: "broken" },
    { path: "/ok", action: "ok" },
  ]);
  expect(router.match(["ok"])?.route.action).toBe("ok");
});
