import type { Connection } from "../src";

const namespace = "metrics";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // `authorize` is a function, which is called for each request and not when the config is built
      _toExpand: false,

      // measure this process, for Prometheus; needs the package prom-client
      enabled: false,
      // a port for the metrics alone; in a cluster of processes each takes the next free one
      port: undefined as number | undefined,
      // who can reach that port: the address that it listens on
      bindIP: "127.0.0.1",
      path: "/metrics",
      // makes them readable on the web server's port, for those for whom it returns true
      authorize: undefined as
        ((connection: Connection) => boolean | Promise<boolean>) | undefined,
      // how many sets of label values a metric may have; more of them count as "other"
      maxSeries: 1000,
    };
  },
};
