import type { ActionheroConfigInterface, RoutesConfig } from "../src";

const namespace = "routes";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/*
Routes say which action answers which path below `/api`. The first one that matches wins:

  get: [
    { path: "/users", action: "usersList" },
    { path: "/users/:userID", action: "userShow" },              // -> params.userID
    { path: "/v:apiVersion/login", action: "login" },            // -> params.apiVersion
    { path: "/users/:userID(^\\d+$)", action: "userShow" },      // only digits
    { path: "/docs/:page", action: "docs", matchTrailingPathParts: true },
    { path: "/old_login", action: "login", apiVersion: 1 },
    { path: "/user:show", action: "user:show", literal: true },  // a colon like any other character
  ],
  all: [{ path: "/user", action: "user" }],                      // every method

Beside these, `config.web.automaticRoutes` gives every action the path `/api/<name>`.
*/
export const DEFAULT = {
  [namespace]: (_config: ActionheroConfigInterface): RoutesConfig => {
    return {
      get: [
        { path: "/status", action: "status" },
        { path: "/swagger", action: "swagger" },
        { path: "/createChatRoom", action: "createChatRoom" },
      ],
    };
  },
};
