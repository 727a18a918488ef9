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
      // which listener of the web server clients come by, "http" or "https"; undefined: any
      bind: undefined as "http" | "https" | undefined,
      // where clients find the server: a URL, or "window.location.origin" for where their page came from
      clientUrl: "window.location.origin",
      // where the browser client is written at boot, below the first public folder
      clientJsPath: "javascript/" as string | undefined,
      // its name, without ".js"; undefined for none
      clientJsName: "ActionheroWebsocketClient" as string | undefined,
      // tell clients to stay away when the server stops; otherwise they come back when it is there again
      destroyClientsOnShutdown: false,
      // how many bytes may wait for a client that does not read, before it is cut
      maxBufferedBytes: 1024 * 1024 * 16,
      // how many messages a client may send in a second; 0 for any
      maxMessagesPerSecond: 0,
      // how many clients this process takes; 0 for any
      maxConnections: 0,
      // take clients by the names of web.allowedRequestHosts only, as the web server does
      checkHost: false,
      // how long a client may take to answer a goodbye, in ms
      closeTimeout: 5 * 1000,
      // verbs that clients may use beside the usual ones: "roomChange"
      verbs: [] as string[],
      // pathname ("/primus"), pingInterval (30000 ms), maxLength (10 MiB for a message), origins ("*"), methods,
      // credentials, maxAge, compression (false), authorization, idGenerator
      server: {} as Record<string, any>,
      // options of the browser client
      client: {
        // where it finds actions while it has no websocket
        apiPath: "/api",
        // the cookie that it is known by, the web server's
        cookieKey: String(
          config.web?.fingerprintOptions?.cookieKey ?? "sessionID",
        ),
      } as Record<string, any>,
    };
  },
};
