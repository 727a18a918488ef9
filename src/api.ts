/** The process-wide shared object that every subsystem hangs its public property on. */

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
  /** True between the end of `Process.start()` and the end of `Process.stop()`. */
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
