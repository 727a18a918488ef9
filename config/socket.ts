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
      // the TCP or TLS server. undefined: enabled in development only, where the boot continues without it if the
      // port is occupied. true: the boot then fails
      enabled: enabledByEnvironment(),
      // TLS? Then serverOptions needs a key and a certificate
      secure: false,
      // passed to net.createServer or tls.createServer. Certificates: `key` and `cert`, or the paths `keyFile` and
      // `certFile`; `hosts: { "name": { keyFile, certFile } }` for other host names. SIGHUP reads the files again
      serverOptions: {} as Record<string, any>,
      // a port, or the path of a unix socket
      port: 5000 as number | string,
      // the address to listen on; null for all; ignored for a unix socket
      bindIP: "0.0.0.0" as string | null,
      // TCP keep-alive: the operating system probes idle clients, to detect dead ones
      setKeepAlive: true,
      // the end of a line
      delimiter: "\n",
      // the maximum bytes of a line; 0 for no limit
      maxDataLength: 1024 * 1024,
      // the maximum bytes of stored params per connection; params of a longer line are not stored. 0 for no limit
      maxParamBytes: 0,
      // the maximum of clients; 0 for no limit
      maxConnections: 0,
      // how long a client may send nothing before it is closed, in ms; 0 for no limit
      idleTimeout: 0,
      // bytes that may wait for a slow consumer before it is disconnected; 0 for no limit
      maxBufferedBytes: 16 * 1024 * 1024,
      // how long a client may read nothing while bytes wait for it, in ms; 0 for no limit
      sendTimeout: 2 * 60 * 1000,
      // the interval of keep-alive messages, in ms; 0 for none
      pingInterval: 0,
      // add the reply fields of version 3: messageCount, status: "OK", data of verbs under their old names
      legacyReplies: false,
      // additional verbs: "roomChange"
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

/** The value of ENABLE_TCP_SERVER; undefined if it is not set. */
function enabledByEnvironment(): boolean | undefined {
  const value = process.env.ENABLE_TCP_SERVER;
  return value === undefined ? undefined : value !== "false";
}
