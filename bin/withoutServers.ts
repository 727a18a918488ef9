/** Processes that do only what a command needs. */
import { api } from "../src/api";
import { withProgress } from "../src/cli/execute";
import { framework } from "./framework";

/** As in a server, initializers are started; but nothing listens, and no worker takes a job. */
export async function startWithoutServers(): Promise<void> {
  const { config } = framework();
  api.servers.servers = {};
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

/** The project is loaded with an engine in this process instead of a redis server, which a build cannot reach. */
export async function initializeWithoutRedis(): Promise<void> {
  const { config, Process } = framework();
  const connection = { konstructor: EmbeddedRedis, args: [], buildNew: true };
  config.redis = {
    ...config.redis,
    client: connection,
    subscriber: connection,
    tasks: connection,
  };
  await withProgress((progress) => {
    progress.show("loading the project");
    return new Process().initialize();
  });
}

function EmbeddedRedis(...args: unknown[]): object {
  const Client = require("ioredis-mock") as new (...args: unknown[]) => object;
  return new Client(...args);
}
