/** The verbs of persistent clients, besides actions and files. */
import { createHash } from "node:crypto";
import { api } from "../api";
import { settings } from "../config/settings";
import { HttpError, toError } from "../errors";
import { tableOf } from "../input/schemaPlan";
import {
  filterObjectForLogging,
  redactForLogging,
  textForLogging,
} from "../log/filters";
import { log, willLog } from "../log/log";
import { type Tracer, tracing } from "../tracing/tracer";
import type { Connection } from "./connection";
import { chatRoom } from "../chat/chatRoom";
import { viewRoom } from "../chat/membership";
import { type ErrorName, wordedError } from "../config/errorMessage";
import { wordedForClients } from "../exposure/errors";
import { forgetTextParam, noteTextParam } from "../input/field";

/** Reserved: no action can have one of these names. */
export const connectionVerbs = [
  "quit",
  "exit",
  "paramAdd",
  "paramDelete",
  "paramView",
  "paramsView",
  "paramsDelete",
  "roomAdd",
  "roomLeave",
  "roomView",
  "detailsView",
  "say",
] as const;

export type ConnectionVerb = (typeof connectionVerbs)[number];

/** Verbs that servers may allow, and whose names are not reserved. */
type HandledVerb = ConnectionVerb | "documentation" | "help" | "roomChange";

/** Params of the framework, which clients without headers send. */
const PARAMS_OF_THE_FRAMEWORK = ["accessToken", "idempotencyKey"];

/** An argument of a verb: a string; from JSON clients also an object or an array. */
export type VerbArgument = string | object;

type VerbHandler = (connection: Connection, args: string[]) => unknown;

/** The maximum number of stored params: reached only with `general.disableParamScrubbing`. */
const MAX_PARAMS = 10_000;

/** The verbs about chat rooms, whose middleware may use the session of the client. */
const roomVerbs = {
  roomAdd: async (connection, [room = ""]) => {
    checkRoomCount(connection);
    await rooms().addMember(connection.id, room);
    return true;
  },
  roomLeave: async (connection, [room = ""]) => {
    await rooms().removeMember(connection.id, room);
    return true;
  },
  roomView: async (connection, [named]) => {
    const room = named || onlyRoomOf(connection) || "";
    if (!connection.rooms.includes(room))
      throw await verbError("connectionNotInRoom", connection, room);
    return viewRoom(room);
  },
  roomChange: changeRoom,
} satisfies Record<string, VerbHandler>;

const verbHandlers: Record<Exclude<HandledVerb, "say">, VerbHandler> = {
  quit: async (connection) => {
    await connection.destroy();
  },
  exit: async (connection) => {
    await connection.destroy();
  },
  paramAdd: (connection, args) => {
    const [key, value] = parseParamPair(args);
    if (!isAllowedParam(key)) {
      const bracket = key.indexOf("[");
      if (bracket > 0 && isAllowedParam(key.slice(0, bracket)))
        throw new HttpError(
          400,
          `params with brackets are sent as JSON: ${key.slice(0, bracket)} is not changed`,
        );
      return;
    }
    const { params } = connection;
    if (!Object.hasOwn(params, key) && Object.keys(params).length >= MAX_PARAMS)
      throw new HttpError(400, `too many params (limit ${MAX_PARAMS})`);
    params[key] = value;
    noteTextParam(params, key);
  },
  paramDelete: (connection, [key = ""]) => {
    delete connection.params[key];
    forgetTextParam(connection.params, key);
  },
  paramView: (connection, [key = ""]) =>
    Object.hasOwn(connection.params, key)
      ? (connection.params[key] as unknown)
      : undefined,
  paramsView: (connection) => connection.params,
  paramsDelete: (connection) => {
    connection.params = {};
  },
  ...roomVerbs,
  detailsView: (connection) => ({
    ...shownIdentity(connection),
    remoteIP: connection.remoteIP,
    remotePort: connection.remotePort,
    params: connection.params,
    connectedAt: connection.connectedAt,
    rooms: connection.rooms,
    totalActions: connection.totalActions,
    pendingActions: connection.pendingActions,
  }),
  documentation: () => describeActions(),
  help: ({ type }) => describeUse(type, verbsOf(type)),
};

/**
 * The ids of a client, as it may read them. A signed fingerprint is the value of a cookie that scripts of pages cannot read
 * (`HttpOnly`), so they get a digest of it; the id of a request begins with the fingerprint.
 */
export function shownIdentity({
  id,
  fingerprint,
  type,
}: Pick<Connection, "id" | "fingerprint" | "type">): {
  id: string;
  fingerprint: string;
} {
  const { signed } = settings().web.fingerprintOptions;
  if (!signed || fingerprint === id) return { id, fingerprint };
  return {
    id: type === "web" ? id.replace(/^[^-]*/, digestOf) : id,
    fingerprint: digestOf(fingerprint),
  };
}

/** As long as an id without a signature. */
function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex").slice(0, 40);
}

/**
 * Run a verb for a connection.
 * @throws Error of `config.errors` when it is unknown, not allowed by the connection's server, or fails
 */
export async function runVerb(
  connection: Connection,
  verb: string,
  given: VerbArgument[],
): Promise<unknown> {
  if (willLog("debug")) {
    log(`[server: ${connection.type}] verb`, "debug", {
      verb: textForLogging(verb),
      to: textForLogging(connection.remoteIP),
      params: textForLogging(withoutSecrets(verb, given)),
    });
  }
  if (!verbsOf(connection.type).includes(verb) || !isShown(verb))
    throw await verbError("verbNotAllowed", connection, verb);
  if (verb === "say" || Object.hasOwn(roomVerbs, verb)) {
    if (tracing.tracer) nameMessage(tracing.tracer, verb);
    return withSession(connection, () =>
      verb === "say"
        ? say(connection, given)
        : roomVerbs[verb as keyof typeof roomVerbs](
            connection,
            given.map(argumentText),
          ),
    );
  }
  if (!Object.hasOwn(verbHandlers, verb))
    throw await verbError("verbNotFound", connection, verb);
  if (tracing.tracer) nameMessage(tracing.tracer, verb);
  const handler = verbHandlers[verb as keyof typeof verbHandlers];
  return handler(connection, given.map(argumentText));
}

/** The middleware of rooms may read the client's session, and store something in it. */
async function withSession(
  connection: Connection,
  work: () => unknown,
): Promise<unknown> {
  const sessions = api.storedSessions;
  if (!sessions) return work();
  await sessions.refresh(connection);
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    await sessions.save(connection); // as after an action that failed
    throw error;
  }
  const unsaved = await sessions.save(connection);
  if (unsaved !== undefined) throw toError(unsaved);
  return result;
}

function nameMessage(tracer: Tracer, verb: string): void {
  const method = `verb/${verb}`;
  tracer.entry()?.describe(method, { "rpc.method": method });
}

/** The verbs that a server allows. */
function verbsOf(type: string): readonly string[] {
  const server = api.servers?.servers[type];
  return (server?.attributes?.verbs as string[] | undefined) ?? [];
}

/** Key and value of `["key=value"]` (split at the first `=`) or `["key", "value"]`. */
export function parseParamPair(args: readonly string[]): [string, string] {
  const [first = "", second] = args;
  const equals = first.indexOf("=");
  if (equals === -1) return [first, second as string];
  return [first.slice(0, equals), first.slice(equals + 1)];
}

/** The arguments for the log: text after the value of a secret param may belong to it. */
function withoutSecrets(verb: string, given: VerbArgument[]): unknown {
  if (verb !== "paramAdd") return redactForLogging(given);
  const args = given.map(argumentText);
  const [key, value] = parseParamPair(args);
  const shown: unknown = filterObjectForLogging({ [key]: "" })[key];
  if (value === undefined || shown === "") return args;
  return args[0]!.includes("=")
    ? [`${key}=${String(shown)}`]
    : [key, String(shown)];
}

/** Params that nothing reads are not stored, so that a client cannot fill the memory with them. */
function isAllowedParam(key: string): boolean {
  if (key === "" || key === "__proto__") return false;
  if (settings().general.disableParamScrubbing) return true;
  return (
    api.params.postVariables.includes(key) ||
    PARAMS_OF_THE_FRAMEWORK.includes(key) ||
    key === api.storedSessions?.param
  );
}

/** Every documented action with its versions, for clients without HTTP. */
function describeActions(): { documentation: Record<string, unknown> } {
  const documentation: Record<string, unknown> = {};
  for (const [name, versions] of Object.entries(api.actions.actions)) {
    const described: Record<string, unknown> = {};
    for (const [version, action] of Object.entries(versions)) {
      if (action.toDocument === false) continue;
      const { description, inputs } = action;
      const outputExample: unknown = action.outputExample;
      described[version] = {
        name,
        version: action.version ?? version,
        description,
        inputs: tableOf(inputs),
        outputExample: outputExample ?? {},
      };
    }
    if (Object.keys(described).length > 0) documentation[name] = described;
  }
  return { documentation };
}

// --- Chat rooms.

/** Looked up at each use: users and their tests replace its functions. */
function rooms() {
  const { chatRoom: found } = api as Partial<typeof api>;
  if (!found) throw new HttpError(503, "chat rooms are not available");
  return found;
}

/** The verb `say`; with `general.sayObjects` the message may be an object or a list. */
async function say(
  connection: Connection,
  args: readonly VerbArgument[],
): Promise<void> {
  const { room, said } = addresseeOf(connection, args);
  const [only] = said;
  const isObject = said.length === 1 && typeof only === "object";
  const message =
    isObject && settings().general.sayObjects
      ? only
      : said.map(argumentText).join(" ");
  limitChat(connection, message);
  // nothing after the room is a missing message, as in version 29; code may send an empty text
  await rooms().broadcast(connection, room, message || undefined);
}

/** The bytes that each client has said since the start of its current second. */
const spoken = new WeakMap<Connection, { start: number; bytes: number }>();

/**
 * A client in a room must not fill the connections of its members, who would be disconnected as slow consumers.
 * @throws HttpError 429
 */
function limitChat(connection: Connection, message: string | object): void {
  const limit = settings().general.maxChatBytesPerSecond;
  if (!(limit > 0)) return;
  const now = performance.now();
  const text = typeof message === "string" ? message : JSON.stringify(message);
  let said = spoken.get(connection);
  if (said === undefined || now - said.start >= 1000)
    spoken.set(connection, (said = { start: now, bytes: 0 }));
  const bytes = said.bytes + Buffer.byteLength(text);
  if (bytes > limit)
    throw new HttpError(
      429,
      `too many bytes of chat messages (limit ${limit} per second)`,
    );
  said.bytes = bytes;
}

/** A word as text: its JSON if it is not a string. */
export function argumentText(word: VerbArgument): string {
  // null and undefined come only from projects in JavaScript, and are empty texts in a message
  return typeof word === "object" && (word as object | null) !== null
    ? JSON.stringify(word)
    : (word as string);
}

/** Additional fields of a reply: the room of a client that has changed its room. */
export function replyFields(
  verb: string,
  { rooms: [room] }: Connection,
): { room?: string } {
  return verb === "roomChange" ? { room } : {};
}

/** Join one room, creating it if necessary, and leave all others. */
async function changeRoom(
  connection: Connection,
  [room = ""]: string[],
): Promise<true> {
  if (room === "")
    throw await verbError("connectionRoomRequired", connection, room);
  if (!connection.rooms.includes(room)) {
    if (!(await chatRoom.exists(room))) await ensureRoom(room);
    await rooms().addMember(connection.id, room); // first, as it may be refused
  }
  for (const other of connection.rooms.filter((name) => name !== room))
    await rooms().removeMember(connection.id, other);
  return true;
}

async function ensureRoom(room: string): Promise<void> {
  try {
    await chatRoom.add(room);
  } catch (error) {
    if (!(await chatRoom.exists(room))) throw error; // another caller created it first
  }
}

/** The first argument is the room; with `general.sayToOwnRoom`, clients in a single room may omit it. */
function addresseeOf(
  connection: Connection,
  args: readonly VerbArgument[],
): { room: string; said: readonly VerbArgument[] } {
  const [first = "", ...rest] = args;
  const own = onlyRoomOf(connection);
  return settings().general.sayToOwnRoom && own && first !== own
    ? { room: own, said: args }
    : { room: argumentText(first), said: rest };
}

/** The limit applies to joins of clients, not to `chatRoom.addMember` of the server. */
function checkRoomCount({ rooms: { length } }: Connection): void {
  const limit = settings().general.maxRoomsPerConnection;
  if (limit > 0 && length >= limit)
    throw new HttpError(400, `too many rooms (limit ${limit})`);
}

function onlyRoomOf({ rooms: [room, ...others] }: Connection) {
  return others.length === 0 ? room : undefined;
}

// --- The errors of verbs, with texts from `config.errors`.

/** @param detail the name of the verb or of the room */
async function verbError(
  name: ErrorName,
  connection: Connection,
  detail: string,
): Promise<Error> {
  const worded = await wordedError(name, connection, detail);
  return wordedForClients(
    typeof worded === "string" ? new Error(worded) : (worded as Error),
  );
}

// --- The output of `help`, for interactive clients.

/** The syntax and the effect of each verb. */
const USAGES: Record<HandledVerb, [usage: string, description: string]> = {
  help: ["help", "shows this"],
  documentation: ["documentation", "describes the actions in full"],
  detailsView: ["detailsView", "shows your connection"],
  paramAdd: ["paramAdd key=value", "stores a param for all following lines"],
  paramView: ["paramView key", "shows a stored param"],
  paramsView: ["paramsView", "shows all stored params"],
  paramDelete: ["paramDelete key", "deletes a stored param"],
  paramsDelete: ["paramsDelete", "deletes all stored params"],
  roomAdd: ["roomAdd room", "joins a chat room"],
  roomView: ["roomView room", "shows who is in a room that you are in"],
  roomLeave: ["roomLeave room", "leaves it"],
  roomChange: ["roomChange room", "leaves all rooms and joins this one"],
  say: ["say room message", "sends a message to a room"],
  quit: ["quit", "ends the connection"],
  exit: ["exit", "ends the connection"],
};

/** @param allowed the verbs of the connection's server */
function describeUse(
  connectionType: string,
  allowed: readonly string[],
): Record<string, unknown> {
  const verbs = Object.entries(USAGES)
    .filter(([verb]) => allowed.includes(verb) && isShown(verb))
    .map(([, usage]) => usage);
  const help = {
    requests: {
      "action key=value": 'runs an action: greet name=Ada title="Dr. h. c."',
      'action {"key":"value"}': "the same with params of any type",
      "file name": "sends a public file",
    },
    verbs: Object.fromEntries(verbs),
  };
  return isShown("documentation")
    ? { ...help, actions: Object.fromEntries(usagesOfActions(connectionType)) }
    : help;
}

/** Introspection can be disabled. */
function isShown(verb: string): boolean {
  return verb !== "documentation" || settings().general.introspection;
}

/** The latest version of every documented action that this transport allows, with its inputs. */
function usagesOfActions(type: string): [usage: string, description: string][] {
  const { actions, versions } = api.actions;
  return Object.entries(actions)
    .map(([name, known]) => known[String(versions[name]?.at(-1))])
    .filter((action) => action !== undefined)
    .filter(
      ({ toDocument, blockedConnectionTypes }) =>
        toDocument !== false && blockedConnectionTypes?.includes(type) !== true,
    )
    .map(({ name, description, inputs }) => {
      const args = Object.entries(tableOf(inputs)).map(([key, input]) =>
        input.required === true ? `${key}=...` : `[${key}=...]`,
      );
      return [[name, ...args].join(" "), description];
    });
}
