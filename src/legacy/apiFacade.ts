/** The functions of version 3 on `api`: they take `api` first and a callback last, and return promises as well. */
import { api as core } from "../api";
import { chatRoom } from "../chat/chatRoom";
import type { RoomStatus } from "../chat/types";
import { config, projectRoot } from "../config/config";
import { settings } from "../config/settings";
import { log } from "../log/log";
import { utils } from "../publicUtils";
import * as task from "../task/taskModule";
import { cacheFacade } from "./cacheFacade";
import { logFailure, passOn } from "./callbacks";
import { readConfigData } from "./configData";
import type { LegacyConnection } from "./connection";

const api = core as typeof core & { [key: string]: any };

/** Put them there; again after each load, which makes `api.tasks` and `api.chatRoom` anew. */
export function installLegacyApi(): void {
  Object.assign(api, { log, utils, cache: cacheFacade, sendSocketMessage });
  Object.assign(api.chatRoom, { socketRoomBroadcast, socketRoomStatus });
  Object.assign(api.tasks, { enqueue, run });
  const data = readConfigData(projectRoot);
  const getters: PropertyDescriptorMap = {
    postVariables: { get: () => api.params.postVariables },
    configData: {
      get: () => ({
        ...data,
        ...config,
        general: { ...data.general, ...config.general },
        redis: { ...config.redis, ...data.redis },
      }),
    },
  };
  for (const getter of Object.values(getters))
    Object.assign(getter, { configurable: true, enumerable: true });
  Object.defineProperties(api, getters);
}

/** Send something to a client. */
function sendSocketMessage(
  _api: unknown,
  connection: LegacyConnection,
  message: unknown,
): Promise<void> {
  return logFailure(send(connection, message));
}

async function send(
  connection: LegacyConnection,
  message: unknown,
): Promise<void> {
  await connection.sendMessage(message);
}

/** Say something in the room of a connection; without one, in the default room. */
function socketRoomBroadcast(
  _api: unknown,
  connection: LegacyConnection | null | undefined,
  message: unknown,
  _fromQueue?: boolean,
): Promise<void> {
  const room = connection
    ? connection.rooms[0]
    : settings().general.defaultChatRoom;
  return logFailure(chatRoom.broadcast(connection ?? {}, room ?? "", message));
}

/** Tells `{ room, members, membersCount }`; null when there is no such room. */
function socketRoomStatus(
  _api: unknown,
  room: string,
  next?: (status: RoomStatus | null) => void,
): Promise<RoomStatus | null> {
  return passOn(chatRoom.roomStatus(room), next, null);
}

/** Enqueue a task for a time in ms since the epoch; null or the past: for now. Tells whether it was. */
function enqueue(
  _api: unknown,
  taskName: string,
  runAtTime?: number | null,
  params?: Record<string, unknown> | null,
  next?: (isEnqueued: boolean) => void,
): Promise<boolean> {
  const inputs = inputsOf(taskName, params ?? {});
  const isLater = Number(runAtTime ?? 0) > Date.now();
  const enqueued = isLater
    ? task.enqueueAt(Number(runAtTime), taskName, inputs)
    : task.enqueue(taskName, inputs);
  return passOn(
    enqueued.then(() => true),
    next,
    false,
  );
}

/** Run a task in this process. The callback gets its result, or null if it fails. */
function run(
  _api: unknown,
  taskName: string,
  params?: Record<string, unknown> | null,
  next?: (result: unknown) => void,
): Promise<unknown> {
  return passOn(
    task.run(taskName, inputsOf(taskName, params ?? {})),
    next,
    null,
  );
}

/** `runAction` had the params of the action among its own. */
function inputsOf(
  taskName: string,
  params: Record<string, unknown>,
): Record<string, unknown> {
  if (taskName !== "runAction" || "params" in params) return params;
  const { action, version, ...rest } = params;
  return { action, version, params: rest };
}
