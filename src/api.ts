/** The process-wide shared object that has a public property of every subsystem, and its methods by name. */

/** Lifecycle functions of the last constructed `Process`, for code that only has `api`. */
export interface ProcessCommands {
  initialize?: (...args: any[]) => Promise<void>;
  start?: (...args: any[]) => Promise<void>;
  stop?: (...args: any[]) => Promise<void>;
  restart?: (...args: any[]) => Promise<void>;
}

/**
 * Each subsystem adds its own property by declaration merging, next to its code:
 * `declare module "../api" { interface Api { chatRoom: ChatRoomApi } }`.
 */
export class Api {
  /** True from the beginning of the phase `start`, before any initializer starts, to the end of `Process.stop()`. */
  running = false;
  /** When the package was first loaded, in ms since the epoch. */
  bootTime = Date.now();
  commands: ProcessCommands = {};
}

// Two copies of the package (npm link, a plugin with its own) must share one object.
// Not `declare global`: that would leak a global name into users' programs.
const host = globalThis as typeof globalThis & { api?: Api };

export const api: Api = (host.api ??= new Api());

/** The connection type of actions that the server runs for itself, by `action.run`: they have no client. */
export const IN_LINE = "in-line-action";

// --- Resolves dotted method names such as `api.cache.load`, used by RPC and by string validators and formatters.

/** A callable with the object it was found on, so that `this` is the same as in a direct call. */
interface ApiMethod {
  owner: object;
  method: (...args: any[]) => unknown;
}

/**
 * Find the function behind a dotted path on `api`.
 *
 * Every step must be an own property, so that a name sent by a peer never reaches `constructor` or
 * `__proto__`; only the last step may be inherited, from a user's class.
 * @param path e.g. `"api.chatRoom.addMember"`
 * @returns undefined when the path leads to nothing callable
 * @throws Error when the path does not start with `api`
 */
export function resolveApiMethod(path: string): ApiMethod | undefined {
  const steps = path.split(".");
  if (steps.shift() !== "api") {
    throw new Error("cannot operate on a method outside of the api object");
  }
  const last = steps.pop();
  if (last === undefined || last === "constructor") return undefined;

  let owner: unknown = api;
  for (const step of steps) {
    if (!isObjectLike(owner) || !Object.hasOwn(owner, step)) return undefined;
    owner = (owner as Record<string, unknown>)[step];
  }
  if (!isObjectLike(owner) || !isReachable(owner, last)) return undefined;

  const method = (owner as Record<string, unknown>)[last];
  if (typeof method !== "function") return undefined;
  return { owner, method: method as ApiMethod["method"] };
}

function isObjectLike(value: unknown): value is object {
  return (
    (typeof value === "object" && value !== null) || typeof value === "function"
  );
}

/** Own, or inherited from something that is not one of the language's own prototypes. */
function isReachable(owner: object, name: string): boolean {
  if (Object.hasOwn(owner, name)) return true;
  for (
    let holder = prototypeOf(owner);
    holder !== null && !isBuiltInPrototype(holder);
    holder = prototypeOf(holder)
  ) {
    if (Object.hasOwn(holder, name)) return true;
  }
  return false;
}

/** Recognized by their shape, because every realm has its own `Object`, `Function` and `Array`. */
function isBuiltInPrototype(holder: object): boolean {
  const above = prototypeOf(holder);
  if (above === null) return true;
  return (
    (typeof holder === "function" || Array.isArray(holder)) &&
    prototypeOf(above) === null
  );
}

function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null;
}
