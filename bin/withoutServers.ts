/** Processes that do only what a command needs. */
import { api } from "../src/api";
import { withProgress } from "../src/cli/execute";
import { framework } from "./framework";

/** As in a server, initializers are started; but nothing listens, and no worker takes a job. */
export async function startWithoutServers(): Promise<void> {
  const { config } = framework();
  api.servers.servers = {};
  // the ports belong to the server that may run beside this process
  config.web = { ...config.web, healthPort: undefined };
  config.metrics = { ...config.metrics, port: undefined };
  config.tasks = {
    ...config.tasks,
    scheduler: false,
    minTaskProcessors: 0,
    maxTaskProcessors: 0,
  };
  await withProgress((progress) => {
    progress.show("starting");
    return api.process!.start();
  });
}
