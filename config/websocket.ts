import type { ActionheroConfigInterface } from "../src";

const namespace = "websocket";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: (config: ActionheroConfigInterface) => {
    return {
      enabled: true,
      // the listener of the web server that clients may use, "http" or "https"; undefined: any
      bind: undefined as "http" | "https" | undefined,
      // the URL of the server for clients, or "window.location.origin" for the origin of their page
      clientUrl: "window.location.origin",
      // where the browser client is written at boot, below the first public folder
      clientJsPath: "javascript/" as string | undefined,
      // its name, without ".js"; undefined for none
      clientJsName: "ActionheroWebsocketClient" as string | undefined,
      // tell clients not to reconnect when the server stops; otherwise they reconnect when it is available again
      destroyClientsOnShutdown: false,
      // bytes that may wait for a slow consumer before it is disconnected
      maxBufferedBytes: 1024 * 1024 * 16,
      // the maximum of messages of a client per second; 0 for no limit
      maxMessagesPerSecond: 0,
      // the maximum of clients of this process; 0 for no limit
      maxConnections: 0,
      // accept only the host names of web.allowedRequestHosts, like the web server
      checkHost: false,
      // how long a client may take to confirm a close, in ms
      closeTimeout: 5 * 1000,
      // additional verbs: "roomChange"
      verbs: [] as string[],
      // pathname ("/primus"), pingInterval (30000 ms), maxLength (10 MiB for a message), origins ("*"), methods,
      // credentials, maxAge, compression (false), authorization, idGenerator
      server: {} as Record<string, any>,
      // options of the browser client
      client: {
        // the path of actions while it has no websocket
        apiPath: "/api",
        // the cookie that identifies it, as in the web server
        cookieKey: String(
          config.web?.fingerprintOptions?.cookieKey ?? "sessionID",
        ),
      } as Record<string, any>,
    };
  },
};
