import * as fs from "fs";
import * as path from "path";
import {
  Action,
  actionheroVersion,
  api,
  config,
  id,
  log,
  projectRoot,
  type ActionProcessor,
} from "../src";

/** The limits of a healthy server; both can be set by environment variables of the same name. */
const MAX_MEMORY_MB = Number(process.env.maxMemoryAlloted || 500);
const MAX_QUEUE_LENGTH = Number(process.env.maxResqueQueueLength || 1000);

/** How long redis may take, in ms: those who check the health of servers wait for a few seconds. */
const REDIS_TIMEOUT_MS = 1_000;

/** All of it, unless `general.introspection` is off: then `status` alone. */
export interface StatusResponse {
  status?: "healthy" | "unhealthy";
  id?: string;
  actionheroVersion?: string;
  name?: string;
  description?: string;
  version?: string;
  uptime?: number;
  consumedMemoryMB?: number;
  resqueTotalQueueLength?: number | undefined;
  nodeStatus?: string;
  problems?: string[];
}

export class Status extends Action {
  constructor() {
    super();
    this.name = "status";
    this.description = "Tells how this server is, and which one it is";
    this.outputExample = {
      id: "192.168.2.11:4711",
      actionheroVersion: "30.0.0",
      name: "my_actionhero_project",
      description: "my actionhero project",
      version: "0.1.0",
      uptime: 10469,
      consumedMemoryMB: 54.12,
      resqueTotalQueueLength: 0,
      nodeStatus: "Node Healthy",
      problems: [],
    };
  }

  async run({
    connection,
  }: Partial<ActionProcessor<Status>> = {}): Promise<StatusResponse> {
    if (config.general.introspection !== false) return describeNode();

    const isHealthy = await checkNode();
    if (!isHealthy && connection?.type === "web")
      (
        connection.rawConnection as { responseHttpCode: number }
      ).responseHttpCode = 503;
    return { status: isHealthy ? "healthy" : "unhealthy" };
  }
}

async function checkNode(): Promise<boolean> {
  try {
    const { problems } = await describeNode();
    if (problems.length > 0) log(problems.join(", "), "warning");
    return problems.length === 0;
  } catch (error) {
    log(`cannot tell how this server is: ${String(error)}`, "error");
    return false;
  }
}

async function describeNode() {
  const project = readProject();
  const problems: string[] = [];

  const consumedMemoryMB = toMB(process.memoryUsage().heapUsed);
  if (consumedMemoryMB > MAX_MEMORY_MB)
    problems.push(`Using more than ${MAX_MEMORY_MB} MB of RAM/HEAP`);

  const resqueTotalQueueLength = await inTime(totalQueueLength());
  if (resqueTotalQueueLength === undefined)
    problems.push("redis does not respond");
  else if (resqueTotalQueueLength > MAX_QUEUE_LENGTH)
    problems.push(`Resque Queues over ${MAX_QUEUE_LENGTH} jobs`);

  return {
    id,
    actionheroVersion,
    name: project.name,
    description: project.description,
    version: project.version,
    uptime: Date.now() - Number(api.bootTime),
    consumedMemoryMB,
    resqueTotalQueueLength,
    nodeStatus: problems.length === 0 ? "Node Healthy" : "Node Unhealthy",
    problems,
  };
}

interface Project {
  name: string;
  description: string;
  version: string;
}

function readProject(): Project {
  const file = path.join(projectRoot, "package.json");
  return JSON.parse(fs.readFileSync(file, "utf8")) as Project;
}

function toMB(bytes: number): number {
  return Math.round((bytes / 1024 / 1024) * 100) / 100;
}

/** The jobs that wait in all queues together. */
async function totalQueueLength(): Promise<number> {
  const queue = api.resque?.queue;
  if (!queue) return 0;
  const names: string[] = await queue.queues();
  const lengths: number[] = await Promise.all(
    names.map((name) => queue.length(name)),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** The reply of redis, or undefined when it fails or takes too long. */
async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), REDIS_TIMEOUT_MS);
  });
  const failed = (error: unknown) => {
    log(`cannot count the jobs: ${String(error)}`, "debug");
    return undefined;
  };
  try {
    return await Promise.race([answer.catch(failed), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
