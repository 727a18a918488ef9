const namespace = "securityHeaders";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // false: none of these; X-Content-Type-Options has a setting of its own, web.nosniff
      enabled: false,
      // of every response; null leaves one out
      headers: {
        // pages may load only what this server has, and nobody may show them in a frame
        "Content-Security-Policy":
          "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        // pages of other sites get no hand on windows, and cannot show images or run scripts of this server
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
      } as Record<string, string | null>,
      // of responses to clients that came by TLS; web.httpHeaders of these names are not sent to others
      tlsHeaders: {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
      } as Record<string, string | null>,
    };
  },
};
