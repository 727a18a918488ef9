import type { ActionheroConfigInterface } from "../src";

const namespace = "socket";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: (_config: ActionheroConfigInterface) => {
    return {
      // the TCP or TLS server. undefined: on in development only, and the boot goes on without it when the port is taken.
      // true: the boot fails then
      enabled: enabledByEnvironment(),
      // TLS? Then serverOptions needs a key and a certificate
      secure: false,
      // passed to net.createServer or tls.createServer. Certificates: `key` and `cert`, or the paths `keyFile` and
      // `certFile`; `hosts: { "name": { keyFile, certFile } }` for other names. SIGHUP reads the files again
      serverOptions: {} as Record<string, any>,
      // a port, or the path of a unix socket
      port: 5000 as number | string,
      // the address to listen on; null is every one; it does not count for a unix socket
      bindIP: "0.0.0.0" as string | null,
      // let the operating system look after silent clients, so that dead ones are noticed
      setKeepAlive: true,
      // what ends a line
      delimiter: "\n",
      // bytes of a line; 0 for any number
      maxDataLength: 1024 * 1024,
      // bytes of params that a connection keeps for its next lines; those of a longer line count for that line alone. 0 for
      // any number
      maxParamBytes: 0,
      // how many clients there may be; 0 for any number
      maxConnections: 0,
      // how long a client may send nothing before it is told goodbye, in ms; 0 for ever
      idleTimeout: 0,
      // bytes that may wait for a client that does not read; then it is cut. 0 for any number
      maxBufferedBytes: 16 * 1024 * 1024,
      // how long a client may read nothing while bytes wait for it, in ms; 0 for ever
      sendTimeout: 2 * 60 * 1000,
      // how often every client is sent a keep-alive message, in ms; 0 for never
      pingInterval: 0,
      // add what version 3 told clients: messageCount, status: "OK", data of verbs by their names of then
      legacyReplies: false,
      // verbs that clients may use beside the usual ones: "roomChange"
      verbs: [] as string[],
    };
  },
};

export const test = {
  [namespace]: () => {
    return {
      secure: false,
      port: 15000 + parseInt(process.env.JEST_WORKER_ID || "0", 10),
    };
  },
};

/** What ENABLE_TCP_SERVER says; undefined when it is not set. */
function enabledByEnvironment(): boolean | undefined {
  const value = process.env.ENABLE_TCP_SERVER;
  return value === undefined ? undefined : value !== "false";
}
