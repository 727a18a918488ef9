import * as fs from "fs";
import * as path from "path";
import type { ActionheroConfigInterface } from "../src";

const namespace = "general";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: (config: ActionheroConfigInterface) => {
    const projectRoot = config.process.projectRoot;
    const packageJSON = findPackageJson(projectRoot);

    return {
      // shown in every web response's metadata
      apiVersion: packageJSON.version,
      serverName: packageJSON.name,
      // the name of this process in the cluster; undefined: `<ip>:<pid>`
      id: undefined as string | undefined,
      // the first message that a persistent connection receives
      welcomeMessage: `Welcome to the ${packageJSON.name} api`,
      // a secret that all nodes of one cluster share; messages of others are ignored
      serverToken: "change-me",
      // start only with a serverToken that is set and not "change-me", except in development and test; false: production
      // starts with a warning
      requireServerToken: false,
      // let clients see how the server is built: all of `status`, the swagger document, the verb `documentation`
      introspection: true,
      // prefixes of the redis keys of the cache and of its locks
      cachePrefix: "actionhero:cache:",
      lockPrefix: "actionhero:lock:",
      // how long a lock lives unless it is released, in ms
      lockDuration: 1000 * 10,
      // how many actions may be pending on one connection
      simultaneousActions: 5,
      // how many connections to all servers of this process one address may have; 0 for any number
      maxConnectionsPerAddress: 0,
      // bytes of bodies, messages and params that all clients together make this process hold; more are refused (HTTP 503,
      // a websocket is closed with 1013), except those of at most 16 KiB. undefined: an eighth of the heap's limit; 0 or null for any number
      maxHeldBytes: undefined as number | null | undefined,
      // how many actions one client may run: { requests: 100, perMs: 60000 }; null for any number
      rateLimit: null as null | {
        requests: number;
        perMs: number;
        // what tells clients apart: "address", or "fingerprint", which they can choose
        by?: "address" | "fingerprint";
        // how many proxies that write X-Forwarded-For are in front
        proxies?: number;
        // count requests for files, too
        files?: boolean;
        // while redis is away: "open" lets everybody in, "closed" nobody
        onOutage?: "open" | "closed";
      },
      // refuse new work (HTTP 503, an error line, or the close code 1013) above these limits; null: never. `maxInFlight`: how many
      // actions run; `maxEventLoopDelay`: ms; `maxHeapUsed`: bytes or, up to 1, a share of the heap's limit
      overload: null as null | {
        maxInFlight?: number;
        maxEventLoopDelay?: number;
        maxHeapUsed?: number;
      },
      // numbers here give every action the params `limit` and `offset`, with these defaults; undefined: not there
      defaultLimit: undefined as number | undefined,
      defaultOffset: undefined as number | undefined,
      // demand an IP address and a port for every connection
      enforceConnectionProperties: true,
      // keep params that an action does not declare as inputs
      disableParamScrubbing: false,
      // add the response to the log line of each action
      enableResponseLogging: false,
      // params whose values never reach a log: dotted paths, which go through lists; "*" in a name is any characters, in upper
      // and lower case, and the step "**" any number of levels
      filteredParams: [] as string[] | (() => string[]),
      // the same for responses
      filteredResponse: [] as string[] | (() => string[]),
      // values that count as missing for a required input
      missingParamChecks: [null, "", undefined] as unknown[],
      // the file that is served for a directory
      directoryFileType: "index.html",
      // keep a context for each request, message, job and in-line call: `context()`, an id in every log line of it, and the
      // header X-Request-Id
      context: false,
      // the level of the log line of each file
      fileRequestLogLevel: "info",
      // bytes of a log file that the task "cleanLogFiles" (tasks.builtin) leaves alone
      maxLogFileSize: 10 * 1024 * 1024,
      // the priority of middleware that names none
      defaultMiddlewarePriority: 100,
      // the redis channel of the cluster
      channel: "actionhero",
      // how long a call to another node may take, in ms
      rpcTimeout: 5000,
      // how long a server that got SIGTERM serves on before it stops, in ms: /readyz is 503 meanwhile, so that load balancers
      // send no more requests when it does
      drainDelay: 0,
      // how long stop() waits for what is running, in ms
      shutdownTimeout: 10 * 1000,
      // stop the process when a promise of the project is rejected and nobody handles it; it is reported either way
      exitOnUnhandledRejection: true,
      // say in three lines why a boot failed: what, where and the remedy; the stack is shown with LOG_LEVEL=debug
      explainBootErrors: false,
      // in development, warn of settings that do not exist, or have values of a wrong type
      checkSettings: false,
      // refuse clients (HTTP 503) until the boot is complete; requests that this process makes to itself are served
      refuseUntilBooted: false,
      // take changed actions, tasks and routes into the running server; never in tests
      developmentMode: false,
      // show the framework's own commands in `actionhero help`
      cliIncludeInternal: true,
      // where the parts of the project are
      paths: {
        action: [path.join(__dirname, "..", "actions")],
        task: [path.join(__dirname, "..", "tasks")],
        server: [path.join(__dirname, "..", "servers")],
        cli: [path.join(__dirname, "..", "bin")],
        initializer: [path.join(__dirname, "..", "initializers")],
        public: [path.join(projectRoot, "public")],
        pid: [path.join(projectRoot, "pids")],
        log: [path.join(projectRoot, "log")],
        plugin: [path.join(projectRoot, "node_modules")],
        test: [path.join(projectRoot, "__tests__")],
        // used by the generators
        src: path.join(projectRoot, "src"),
        dist: path.join(projectRoot, "dist"),
      },
      // the room that every client that can chat is in from the start, if any; its welcome names it
      defaultChatRoom: undefined as string | undefined,
      // chat rooms that exist from the start
      startingChatRooms: { defaultRoom: {} } as Record<
        string,
        Record<string, unknown>
      >,
      // make the room that a client asks to join, when it does not exist
      autoCreateChatRooms: false,
      // how many chat rooms there may be on all nodes together, beside the starting ones; 0 for any number
      maxChatRooms: 0,
      // how many chat rooms a client may join; 0 for any number
      maxRoomsPerConnection: 0,
      // let clients that are in one room only say something without naming it
      sayToOwnRoom: false,
      // an object or a list that a client says in a room reaches the members as it is, and not as the text of its JSON
      sayObjects: false,
      // how many bytes of chat messages may wait for one member that does not read, before it is disconnected; 0: no limit
      chatBacklogLimit: 1024 * 1024,
    };
  },
};

export const test = {
  [namespace]: () => {
    return {
      serverToken: `serverToken-${process.env.JEST_WORKER_ID || 0}`,
      startingChatRooms: {
        defaultRoom: {},
        otherRoom: {},
      },
      rpcTimeout: 3000,
    };
  },
};

export const production = {
  [namespace]: () => {
    return {
      fileRequestLogLevel: "debug",
    };
  },
};

/** The package.json of the project: in its folder or, for a project in a folder of a package, above it. */
function findPackageJson(projectRoot: string): {
  name: string;
  version: string;
} {
  for (let folder = projectRoot; ; folder = path.dirname(folder)) {
    const file = path.join(folder, "package.json");
    if (fs.existsSync(file)) {
      return JSON.parse(fs.readFileSync(file, "utf8")) as {
        name: string;
        version: string;
      };
    }
    if (path.dirname(folder) === folder)
      return { name: path.basename(projectRoot), version: "0.0.0" };
  }
}
