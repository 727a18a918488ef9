export const DEFAULT = {
  web: () => ({
    errorStatus: { invalidParams: 422 },
    // only the routes of config/routes.ts: a link must not sign anybody in or out
    automaticRoutes: [],
    fingerprintOptions: {
      cookieKey: "session",
      toSetCookie: true,
      onlyStaticElements: false,
      settings: { path: "/", httpOnly: true, sameSite: "Lax" },
    },
  }),
};
