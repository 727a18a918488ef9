const namespace = "health";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // health checks for load balancers and supervisors, on the web server's port or on web.healthPort
      enabled: false,
      // liveness: 200 while the process is alive; readiness: 200 while it should get requests
      livePath: "/healthz",
      readyPath: "/readyz",
      // how long the results of checks are cached, in ms
      cacheFor: 1000,
      // the default timeout of a check, in ms
      timeout: 1000,
    };
  },
};
