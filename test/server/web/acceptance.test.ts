process.env.AUTOMATIC_ROUTES = "get,post,put,patch,delete";
import { startWebApp, type WebApp } from "../../support/webApp";
import { expectAnswers, visit } from "../../support/acceptance";

let app: WebApp;

beforeAll(async () => {
  app = await startWebApp();
});

afterAll(() => app.stop());

test("a first visit: actions, files, and invalid requests", async () => {
  expectAnswers(await visit(app.port));
});
