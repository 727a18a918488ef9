export const DEFAULT = {
  web: () => ({
    errorStatus: { invalidParams: 422 },
    // only the routes of config/routes.ts: a link must not sign anybody in or out
    automaticRoutes: [],
    csrf: true,
    // the cookie of the session is enough
    fingerprintOptions: { toSetCookie: false },
  }),
};
