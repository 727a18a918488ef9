import { matchURL } from "../../src/route/matchUrl";

const split = (path: string) => path.split("/").filter((part) => part !== "");

test("literals match in any case, and only as many parts as there are", () => {
  expect(matchURL(["Status"], "/status").match).toBe(true);
  expect(matchURL(["status", "x"], "/status").match).toBe(false);
  expect(matchURL([], "/status").match).toBe(false);
});

test("variables take their part", () => {
  expect(matchURL(split("/user/123"), "/user/:userID")).toEqual({
    match: true,
    params: { userID: "123" },
  });
});

test("a prefix must come first, and is cut off", () => {
  expect(matchURL(["v1"], "/v:apiVersion").params).toEqual({ apiVersion: "1" });
  expect(matchURL(["1v"], "/v:apiVersion").match).toBe(false);
  expect(matchURL(["v"], "/v:apiVersion").match).toBe(false);
  expect(matchURL(["__path-stuff"], "/__:path(^.*$)").params).toEqual({
    path: "path-stuff",
  });
});

test("a pattern is tested unanchored, and the value is the whole part", () => {
  const route = "/game/:id(^[a-z]{0,10}$)";
  expect(matchURL(["game", "abc"], route).params).toEqual({ id: "abc" });
  expect(matchURL(["game", "1234"], route).match).toBe(false);
  expect(matchURL(["xx12yy"], "/:n(\\d+)").params).toEqual({ n: "xx12yy" });
});

test("a pattern may contain colons and groups", () => {
  const route = "/:kind(^(?:cat|dog)$)";
  expect(matchURL(["dog"], route).params).toEqual({ kind: "dog" });
  expect(matchURL(["cow"], route).match).toBe(false);
});

test("trailing parts join the last variable, however many there are", () => {
  const parts = split("/a/b/1/2/3/4/5/6/7/8/9/10/11");
  expect(matchURL(parts, "/a/b/:rest", true).params).toEqual({
    rest: "1/2/3/4/5/6/7/8/9/10/11",
  });
  expect(matchURL(["a"], "/a/:rest", true).match).toBe(false);
});

test("a literal last part with trailing parts needs only its own position", () => {
  expect(matchURL(split("/theLink/and/more"), "/theLink", true).match).toBe(
    true,
  );
});

test("the root route", () => {
  expect(matchURL([], "/").match).toBe(true);
  expect(matchURL(["x"], "/").match).toBe(false);
  expect(matchURL(["x", "y"], "/", true).match).toBe(true);
});

test("an empty part never matches", () => {
  expect(matchURL(["a", "", "b"], "/a/:x/b").match).toBe(false);
  expect(matchURL(["", "b"], "/:x", true).match).toBe(false);
});

test("a variable named __proto__ is no variable", () => {
  const { params } = matchURL(["x"], "/:__proto__");
  expect(Object.getPrototypeOf(params)).toBe(Object.prototype);
});
