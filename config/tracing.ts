const namespace = "tracing";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // spans for OpenTelemetry; needs the package @opentelemetry/api, and an SDK that the project registers
      enabled: false,
    };
  },
};
