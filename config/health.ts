const namespace = "health";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // tell load balancers and supervisors how the process is; on the web server's port, or on web.healthPort
      enabled: false,
      // 200 as long as the process is alive; and 200 as long as it is to get requests
      livePath: "/healthz",
      readyPath: "/readyz",
      // how long the results of checks are kept, in ms
      cacheFor: 1000,
      // how long a check may take that names no time of its own, in ms
      timeout: 1000,
    };
  },
};
