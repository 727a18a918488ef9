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
      // a secret that all nodes of one cluster share; messages with another token are ignored
      serverToken: "change-me",
      // start only with a serverToken that is set and not "change-me", except in development and test; false: production
      // starts with a warning
      requireServerToken: false,
      // let clients inspect the server: the full `status`, the swagger document, the verb `documentation`
      introspection: true,
      // prefixes of the redis keys of the cache and of its locks
      cachePrefix: "actionhero:cache:",
      lockPrefix: "actionhero:lock:",
      // how long a lock lives unless it is released, in ms
      lockDuration: 1000 * 10,
      // how many actions may be pending on one connection
      simultaneousActions: 5,
      // the maximum of connections of one address to all servers of this process; 0 for no limit
      maxConnectionsPerAddress: 0,
      // bytes of bodies, messages and params of all clients in memory, for requests of more than 16 KiB together and
      // again for smaller ones together; beyond it, requests are refused (HTTP 503, a websocket is closed with 1013).
      // undefined: an eighth of the heap limit; 0 or null for no limit
      maxHeldBytes: undefined as number | null | undefined,
      // bytes of responses and messages that wait until their clients read them, of all clients together; beyond it, the
      // slowest client is disconnected. undefined: a quarter of the heap limit; 0 or null for no limit
      maxUnreadBytes: undefined as number | null | undefined,
      // the rate limit of a client: { requests: 100, perMs: 60000 }; null for no limit
      rateLimit: null as null | {
        requests: number;
        perMs: number;
        // how clients are identified: "address", or "fingerprint", which they can choose
        by?: "address" | "fingerprint";
        // the number of proxies in front that write X-Forwarded-For
        proxies?: number;
        // also count requests for files
        files?: boolean;
        // while redis is unavailable: "open" allows all requests, "closed" refuses all
        onOutage?: "open" | "closed";
      },
      // refuse new work (HTTP 503, an error line, or the close code 1013) beyond these limits; null: never.
      // `maxInFlight`: running actions; `maxEventLoopDelay`: ms; `maxHeapUsed`: bytes or, up to 1, a fraction of the
      // old generation of the heap (--max-old-space-size)
      overload: null as null | {
        maxInFlight?: number;
        maxEventLoopDelay?: number;
        maxHeapUsed?: number;
      },
      // numbers here give every action the params `limit` and `offset`, with these defaults; undefined: not added
      defaultLimit: undefined as number | undefined,
      defaultOffset: undefined as number | undefined,
      // require an IP address and a port for every connection
      enforceConnectionProperties: true,
      // keep params that an action does not declare as inputs
      disableParamScrubbing: false,
      // add the response to the log line of each action
      enableResponseLogging: false,
      // params whose values are hidden in logs: dotted paths, which apply to each element of lists; "*" in a name
      // matches any characters, ignoring case, and "**" any number of levels
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
      // bytes above which the task "cleanLogFiles" (tasks.builtin) removes a log file
      maxLogFileSize: 10 * 1024 * 1024,
      // the default priority of middleware
      defaultMiddlewarePriority: 100,
      // the redis channel of the cluster
      channel: "actionhero",
      // how long a call to another node may take, in ms
      rpcTimeout: 5000,
      // how long a server keeps serving after SIGTERM before it stops, in ms: meanwhile /readyz is 503, so that load
      // balancers stop sending requests
      drainDelay: 0,
      // how long stop() waits for running requests and jobs, in ms
      shutdownTimeout: 10 * 1000,
      // stop the process on an unhandled rejection of the project; it is reported either way
      exitOnUnhandledRejection: true,
      // explain a failed boot in three lines: what failed, where, and the remedy; LOG_LEVEL=debug shows the stack
      explainBootErrors: false,
      // end the boot if a setting has a value that is not accepted, and warn in development of settings that do not exist;
      // false: such values are warnings
      checkSettings: false,
      // fail the boot if two files define an action of one name and version, or a task of one name; else the later file
      // replaces the earlier one, with a warning
      uniqueNames: false,
      // refuse clients (HTTP 503) until the boot is complete; requests of this process to itself are served
      refuseUntilBooted: false,
      // hot reload of changed actions, tasks and routes; never in tests
      developmentMode: false,
      // show the framework's own commands in `actionhero help`
      cliIncludeInternal: true,
      // the folders of the project
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
      // the room that every client that can chat joins on connecting, if any; the welcome message names it
      defaultChatRoom: undefined as string | undefined,
      // chat rooms that exist from the start
      startingChatRooms: { defaultRoom: {} } as Record<
        string,
        Record<string, unknown>
      >,
      // create a room when a client joins it
      autoCreateChatRooms: false,
      // the maximum of chat rooms in the cluster, without the starting ones; 0 for no limit
      maxChatRooms: 0,
      // the maximum of chat rooms that a client may join; 0 for no limit
      maxRoomsPerConnection: 0,
      // let clients in a single room say something without naming it
      sayToOwnRoom: false,
      // an object or a list that a client says in a room is sent to the members unchanged, not as its JSON text
      sayObjects: false,
      // bytes that one client may say in rooms per second; 0 for no limit
      maxChatBytesPerSecond: 0,
      // bytes of chat messages that may wait for a slow consumer before it is disconnected; 0 for no limit
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

/** The package.json of the project: in its folder or, for a project in a subfolder of a package, above it. */
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
