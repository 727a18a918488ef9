/** The requests of a first visit: what a running server must answer, whatever project it belongs to. */
import { ask, type Answer } from "./ask";

const JSON_HEADERS = { "content-type": "application/json" };

/** A list in a list in a list. */
function nested(levels: number): string {
  return `${"[".repeat(levels)}${"]".repeat(levels)}`;
}

/** Ask for each thing once; every answer with what it was for. */
export async function visit(port: number): Promise<Record<string, Answer>> {
  const post = (path: string, body: string | Buffer, headers: object) =>
    ask(port, path, { method: "POST", headers: { ...headers }, body });
  return {
    status: await ask(port, "/api/status"),
    random: await ask(port, "/api/randomNumber"),
    cacheTest: await post(
      "/api/cacheTest",
      JSON.stringify({ key: "a key", value: "a value" }),
      JSON_HEADERS,
    ),
    missing: await post("/api/cacheTest", "{}", JSON_HEADERS),
    file: await ask(port, "/public/simple.html"),
    nothing: await ask(port, "/api/nothing"),
    deep: await post("/api/cacheTest", `{"a":${nested(200)}}`, JSON_HEADERS),
    large: await post(
      "/api/cacheTest",
      JSON.stringify({ key: "k".repeat(30 * 1024 * 1024) }),
      JSON_HEADERS,
    ),
    multipart: await post("/api/cacheTest", "--x\r\nno headers", {
      "content-type": "multipart/form-data; boundary=x",
    }),
    traversal: await ask(port, "/public/%2e%2e%2fpackage.json"),
    rawTraversal: await ask(port, "/public/../package.json"),
    // and it is still there
    again: await ask(port, "/api/status"),
  };
}

/**
 * Assert what every project of ours answers to `visit`.
 * @param healthy the response of `status`; without `general.introspection` it is another
 */
export function expectAnswers(
  answers: Record<string, Answer>,
  healthy: object = { nodeStatus: "Node Healthy" },
): void {
  const statuses = Object.fromEntries(
    Object.entries(answers).map(([what, { status }]) => [what, status]),
  );
  expect(statuses).toEqual({
    status: 200,
    random: 200,
    cacheTest: 200,
    missing: 422,
    file: 200,
    nothing: 404,
    deep: 400,
    large: 413,
    multipart: 400,
    traversal: 404,
    rawTraversal: 404,
    again: 200,
  });
  const errorOf = (what: string) => answers[what].json.error as string;
  expect(answers.status.json).toMatchObject(healthy);
  expect(answers.random.json.randomNumber).toBeLessThan(1);
  expect(answers.cacheTest.json.cacheTestResults.loadResp.value).toBe(
    "a value",
  );
  expect(errorOf("missing")).toBe(
    "key is a required parameter for this action",
  );
  expect(errorOf("nothing")).toBe("unknown action or invalid apiVersion");
  expect(errorOf("deep")).toMatch(/200/);
  expect(errorOf("large")).toMatch(/too large/);
  expect(errorOf("multipart")).toBe("There was an error processing this form.");
  expect(answers.traversal.text).toBe("that file is not found");
  for (const { headers } of [answers.nothing, answers.deep, answers.large])
    expect(headers["content-type"]).toMatch(/^application\/json/);
}
