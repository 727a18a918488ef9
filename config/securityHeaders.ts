const namespace = "securityHeaders";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

export const DEFAULT = {
  [namespace]: () => {
    return {
      // false: none of these headers; X-Content-Type-Options has a separate setting, web.nosniff
      enabled: false,
      // headers of every response; null omits one
      headers: {
        // pages may load only from this server, and may not be framed
        "Content-Security-Policy":
          "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        // pages of other sites cannot access windows, and cannot embed images or scripts of this server
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
      } as Record<string, string | null>,
      // headers of responses over TLS; web.httpHeaders of these names are not sent to other clients
      tlsHeaders: {
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
      } as Record<string, string | null>,
    };
  },
};
