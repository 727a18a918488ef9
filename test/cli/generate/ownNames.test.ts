/** The names that generators refuse are those of the framework's own code. */
process.env.PORT = "0";
process.env.ENABLE_TCP_SERVER = "true";

import { api, builtinTasks, config, Process } from "../../../src";
import { OWN_NAMES } from "../../../src/cli/generate/component";

test("initializers, servers and tasks of the framework", async () => {
  const app = new Process();
  await app.start();
  const tasks = Object.values(builtinTasks).map((Class) => new Class().name);
  const found = {
    initializer: Object.keys(app.initializers).sort(),
    server: [
      ...new Set([...Object.keys(api.servers.servers), ...Object.keys(config)]),
    ].sort(),
    task: tasks,
  };
  await app.stop();
  expect(found).toEqual({
    initializer: [...OWN_NAMES.initializer],
    server: [...OWN_NAMES.server].sort(),
    task: [...OWN_NAMES.task],
  });
});
