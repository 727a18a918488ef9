/** The functions of version 3 on `api`: they take `api` first and a callback last, and return promises as well. */
import { api as core } from "../api";
import { cache } from "../cache/cache";
import { chatRoom } from "../chat/chatRoom";
import type { RoomStatus } from "../chat/types";
import { config, projectRoot } from "../config/config";
import { settings } from "../config/settings";
import type { ActionheroError } from "../errors";
import { log } from "../log/log";
import { utils } from "../publicUtils";
import * as task from "../task/taskModule";
import { logFailure, passOn, type LegacyConnection } from "./adapter";
import { readConfigData } from "./configMap";

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

// --- `api.cache` of version 3, on the cache of today.

type LoadNext = (
  value: any,
  expireTimestamp: number | null,
  createdAt: number | null,
  readAt: number | null,
) => void;

/** A cached object with the metadata of version 3; all fields are null if it does not exist. */
interface Loaded {
  value: any;
  /** ms since the epoch; null: never. */
  expireTimestamp: number | null;
  createdAt: number | null;
  /** When it was read before, with `general.cacheTrackReads`. */
  readAt: number | null;
}

const NOTHING: Loaded = {
  value: null,
  expireTimestamp: null,
  createdAt: null,
  readAt: null,
};

/** Where the time of the last read is kept. */
const READ_SUFFIX = ":readAt";

const cacheFacade = {
  /** Returns true. */
  save(
    _api: unknown,
    key: string,
    value: unknown,
    expireTimeMS?: number | null,
    next?: (isSaved: boolean) => void,
  ): Promise<boolean> {
    return passOn<boolean, boolean>(
      cache.save(key, value, expireTimeMS),
      next,
      false,
    );
  },

  /** Tells the value, when it expires, when it was saved, and when it was read before. */
  load(_api: unknown, key: string, next?: LoadNext): Promise<Loaded> {
    const spread =
      next &&
      (({ value, expireTimestamp, createdAt, readAt }: Loaded) =>
        next(value, expireTimestamp, createdAt, readAt));
    return passOn(loadAll(key), spread, NOTHING);
  },

  /** Tells whether it was there. */
  destroy(
    _api: unknown,
    key: string,
    next?: (isDestroyed: boolean) => void,
  ): Promise<boolean> {
    return passOn(cache.destroy(key), next, false);
  },
};

async function loadAll(key: string): Promise<Loaded> {
  let found;
  try {
    found = await cache.load(key);
  } catch (error) {
    if ((error as ActionheroError).code === "AH_CACHE_NOT_FOUND")
      return NOTHING;
    throw error;
  }
  const { value, createdAt } = found as { value: unknown; createdAt: number };
  const leftMs = await cache.client().pttl(cache.redisPrefix + key);
  const expireTimestamp = leftMs >= 0 ? Date.now() + leftMs : null;
  const readAt = await exchangeReadAt(key, leftMs);
  return { value, expireTimestamp, createdAt, readAt };
}

/** When the object was read before; now is written down, for as long as the object lives. */
async function exchangeReadAt(
  key: string,
  leftMs: number,
): Promise<number | null> {
  const { cacheTrackReads } = settings().general;
  if (cacheTrackReads !== true) return null;
  const name = cache.redisPrefix + key + READ_SUFFIX;
  const redis = cache.client();
  const before = await redis.get(name);
  if (leftMs > 0) await redis.set(name, Date.now(), "PX", leftMs);
  else await redis.set(name, Date.now());
  return before === null ? null : Number(before);
}
