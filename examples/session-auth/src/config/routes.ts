import type { RoutesConfig } from "actionhero";

export const DEFAULT: { routes: () => RoutesConfig } = {
  routes: () => ({
    post: [
      { path: "/users", action: "signUp" },
      { path: "/session", action: "signIn" },
    ],
    get: [{ path: "/session", action: "whoAmI" }],
    delete: [{ path: "/session", action: "signOut" }],
  }),
};
