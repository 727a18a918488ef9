/** What a new project does differently from a v29 project, as its clients see it. */
import { ask } from "../../support/ask";
import {
  generatedProject,
  startProject,
  type StartedProject,
} from "../../support/generatedProject";

const project = generatedProject();
const started: StartedProject[] = [];
afterAll(async () => {
  await Promise.all(started.map(({ service }) => service.stop()));
  project.remove();
});

async function start(env: Record<string, string | undefined> = {}) {
  const server = await startProject(project, env);
  started.push(server);
  return server;
}

const post = (body: object) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

describe("in development", () => {
  let port: number;
  beforeAll(async () => {
    ({ port } = await start());
  });

  describe("createChatRoom", () => {
    test("is reached by POST only", async () => {
      const path = "/api/createChatRoom";
      const { status } = await ask(port, `${path}?name=linked`);
      expect(status).toBe(404);
      const { json } = await ask(port, path, post({ name: "posted" }));
      expect(json).toMatchObject({ name: "posted", didCreate: true });
    });

    test("takes a name of at most 256 bytes", async () => {
      const create = (name: unknown) =>
        ask(port, "/api/createChatRoom", post({ name }));
      expect((await create("é".repeat(128))).json.didCreate).toBe(true);
      const { json } = await create("é".repeat(128) + "x");
      expect(json.error).toBe("name must have at most 256 bytes");
    });
  });
});
