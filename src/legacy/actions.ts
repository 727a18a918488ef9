/** Actions that version 3 had, and the fields that its action `status` had. */
import { Action } from "../action/action";
import type { ActionProcessor } from "../action/actionProcessor";
import { latestVersion } from "../action/registry";
import { api } from "../api";
import { settings } from "../config/settings";
import { HttpError } from "../errors";
import { tableOf } from "../input/schemaPlan";
import type { Inputs } from "../input/types";
import { chatRoom } from "../chat/chatRoom";
import { addMiddleware } from "../action/actionModule";
import { cache } from "../cache/cache";
import * as task from "../task/taskModule";

/** Lists the actions in the format of version 3. */
export class ActionsView extends Action {
  constructor() {
    super();
    this.name = "actionsView";
    this.description = "Lists the actions";
    this.outputExample = {
      actions: [{ name: "a", description: "b", inputs: {}, outputExample: {} }],
    };
    this.toDocument = false;
  }

  override async run({ connection }: Pick<ActionProcessor, "connection">) {
    if (!settings().general.introspection)
      throw new HttpError(404, "this server does not describe its API");
    const actions = Object.keys(api.actions.actions)
      .map((name) => api.actions.actions[name]![latestVersion(name)!])
      .filter((action) => action && action.toDocument !== false)
      .map((action) => describe(action!))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const verbs = api.servers.servers[connection.type]?.attributes.verbs ?? [];
    return verbs.length > 0 ? { actions, verbs } : { actions };
  }
}

function describe({ name, description, inputs, outputExample }: Action) {
  return {
    name,
    description,
    inputs: namesOf(tableOf(inputs)),
    outputExample: (outputExample ?? {}) as object,
  };
}

function namesOf(inputs: Inputs) {
  const names = Object.keys(inputs);
  const isRequired = (name: string) => inputs[name]!.required === true;
  return {
    required: names.filter(isRequired),
    optional: names.filter((name) => !isRequired(name)),
  };
}

/** Sends a file below the public folders. */
export class File extends Action {
  constructor() {
    super();
    this.name = "file";
    this.description = "Sends a file";
    this.inputs = { fileName: { required: true } };
    this.toDocument = false;
  }

  override async run(data: ActionProcessor<any>) {
    await data.connection.sendFile(String(data.params.fileName));
    data.toRender = false; // not before: what fails is to be answered, too
  }
}

/** Lets clients that are in no room talk. Guard it by middleware: a client that may run it can talk in every room. */
export class Say extends Action {
  readonly httpMethods = ["post"];

  constructor() {
    super();
    this.name = "say";
    this.description = "Says something in a chat room";
    this.inputs = { room: { required: true }, message: { required: true } };
    this.outputExample = {
      roomStatus: { room: "lobby", membersCount: 0, members: {} },
    };
  }

  /** Its name is also a verb's, which persistent clients get for it; over HTTP there are no verbs. */
  override validate(): void {}

  override async run({ connection, params }: ActionProcessor<any>) {
    const { room, message } = params;
    const roomStatus = await chatRoom.roomStatus(String(room)); // an error when there is no such room
    await chatRoom.broadcast({ id: connection.id }, String(room), message);
    return { roomStatus };
  }
}

// --- `config.general.legacyStats`: the fields of version 3 in the response of the action `status`.

interface ServerStats {
  /** Actions since the start of this process. */
  requests: number;
  /** Connections at this moment. */
  activeClients: number;
}

/** Count from now on, if the configuration says so. */
export function addLegacyStats(): void {
  const { legacyStats } = settings().general;
  if (legacyStats !== true) return;
  const requests = new Map<string, number>();
  addMiddleware({
    name: "legacyStats",
    global: true,
    preProcessor: ({ connection: { type } }: ActionProcessor) => {
      requests.set(type, (requests.get(type) ?? 0) + 1);
    },
    postProcessor: async (data: ActionProcessor) => {
      if (data.action === "status")
        (data.response as { stats?: object }).stats = await collect(requests);
    },
  });
}

async function collect(requests: ReadonlyMap<string, number>) {
  const [numberOfObjects, nodes, queueLength] = await Promise.all([
    cache.size(),
    api.cluster.nodes(),
    waitingJobs(),
  ]);
  const serverStats = (type: string): ServerStats => ({
    requests: requests.get(type) ?? 0,
    activeClients: api.servers.servers[type]?.connections().length ?? 0,
  });
  return {
    uptimeSeconds: (Date.now() - api.bootTime) / 1000,
    memory: process.memoryUsage(),
    peers: nodes.map(({ id }) => id),
    cache: { numberOfObjects },
    queue: { queueLength },
    webServer: serverStats("web"),
    socketServer: serverStats("socket"),
    webSocketServer: serverStats("websocket"),
  };
}

async function waitingJobs(): Promise<number> {
  const { queues } = await task.details();
  return Object.values(queues).reduce(
    (sum, { length }) => sum + Number(length),
    0,
  );
}
