const namespace = "session";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // connection.store: values per client, stored in redis
      enabled: false,
      // ms of inactivity until a session ends
      ttl: 24 * 60 * 60 * 1000,
      // ms until a session ends in any case
      maxLifetime: 30 * 24 * 60 * 60 * 1000,
      // bytes of all values of a session
      maxBytes: 65_536,
      // the name of the cookie; over TLS it begins with __Host-
      cookie: "session",
      // the param in which clients without cookies send their token
      param: "sessionToken",
    };
  },
};
