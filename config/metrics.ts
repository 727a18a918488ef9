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
      // `authorize` is a value: it is called for each request, not when the config is built
      _toExpand: false,

      // metrics for Prometheus; requires the package prom-client
      enabled: false,
      // a separate port; in a cluster of processes, each uses the next free one
      port: undefined as number | string | undefined,
      // the address that this port listens on
      bindIP: "127.0.0.1",
      path: "/metrics",
      // serves the metrics on the web server's port, to clients for which it returns true
      authorize: undefined as
        ((connection: Connection) => boolean | Promise<boolean>) | undefined,
      // the maximum of label combinations of a metric; further ones count as "other"
      maxSeries: 1000,
    };
  },
};
