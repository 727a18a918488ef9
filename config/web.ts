import * as os from "os";
import type { ActionheroConfigInterface } from "../src";

const namespace = "web";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** The methods of automatic routes, `/api/<name>`, unless AUTOMATIC_ROUTES is set. */
const AUTOMATIC_ROUTES = ["get", "post", "put", "patch", "delete"];

export const DEFAULT = {
  [namespace]: (config: ActionheroConfigInterface) => {
    return {
      enabled: true,
      // HTTPS? Then serverOptions needs `key` and `cert`, or the paths `keyFile` and `certFile`
      secure: false,
      // passed to http(s).createServer
      serverOptions: {} as Record<string, any>,
      // e.g. ["https://www.site.com"], or "www.site.com" for http and https; clients that use another host name are
      // redirected to the first
      allowedRequestHosts: process.env.ALLOWED_HOSTS
        ? process.env.ALLOWED_HOSTS.split(",")
        : ([] as string[]),
      // the trusted proxies, whose X-Forwarded-For, -Proto and -Host contain the client's address, scheme and host:
      // false for none, a number of hops, networks ("10.0.0.0/8, loopback"), or { _toExpand: false, trusts:
      // (address, hop) => boolean }.
      // undefined: X-Real-IP and X-Forwarded-For of any client are trusted, as in version 29
      trustProxy: undefined as
        | false
        | number
        | string
        | string[]
        | {
            _toExpand: false;
            trusts: (address: string, hop: number) => boolean;
          }
        | undefined,
      // a port, or the path of a unix socket
      port: (process.env.PORT || 8080) as number | string,
      // a separate port for /healthz and /readyz (config/health.ts); undefined: they are on `port`
      healthPort: undefined as number | string | undefined,
      // the address to listen on; "::" and null for all; ignored for a unix socket
      bindIP: "::" as string | null,
      // a second listener, for HTTPS: { enabled: true, keyFile, certFile, port: 4443, bindIP }
      https: { enabled: false } as {
        enabled: boolean;
        port?: number | string;
        bindIP?: string | null;
        keyFile?: string;
        certFile?: string;
        // passed to https.createServer
        serverOptions?: Record<string, any>;
      },
      // headers of every response
      httpHeaders: {
        "X-Powered-By": config.general.serverName,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods":
          "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
        "Access-Control-Allow-Headers": "Content-Type",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
      } as Record<string, any>,
      // CORS: origins whose pages may read responses. Undefined: httpHeaders applies, to every origin. Otherwise an
      // object:
      // origins ("*", a list of origins, RegExps, or with _toExpand: false a function), credentials (false), methods,
      // headers (the requested ones), exposed ([]), maxAge (600 s). Access-Control-* of httpHeaders are then not sent
      cors: undefined as
        | {
            origins:
              | string
              | RegExp
              | (string | RegExp)[]
              | ((origin: string) => boolean);
            credentials?: boolean;
            methods?: string[];
            headers?: string[];
            exposed?: string[];
            maxAge?: number;
            _toExpand?: false;
          }
        | undefined,
      // CSRF protection: refuse (403) requests with cookies from pages of other sites, including websockets, except
      // from cors.origins with credentials, and except GET, HEAD, OPTIONS and TRACE; "all": also those without cookies
      csrf: false as boolean | "all",
      // the prefix of actions; may have several parts, or be null for none
      urlPathForActions: "api" as string | null,
      // the prefix of files
      urlPathForFiles: "public" as string | null,
      // the kind of other paths: "api" or "file"
      rootEndpointType: "file" as "api" | "file",
      // the methods of automatic routes
      automaticRoutes: automaticRoutes(),
      // limit pipelined requests to general.simultaneousActions per connection
      limitPipelining: false,
      // respond to TRACE with the request as parsed; otherwise with 405
      trace: true,
      // let ?action= select the action on any path that no route matches, not only on the bare prefix
      queryRouting: false,
      // in paths, "+" is a plus sign and a malformed "%zz" is a 400, instead of a space and an omitted param
      strictPaths: false,
      // the rules of RFC 9110: 405 with Allow, redirects from /folder to /folder/, charsets, strong ETags, If-Match
      strictHttp: false,
      // "ignore" treats files and folders whose name begins with a dot as missing, except .well-known
      dotfiles: "allow" as "allow" | "ignore",
      // respond to requests for missing files with a page if the client prefers text/html, otherwise with a text
      errorPages: false,
      // the HTTP status of errors without one, by kind: invalidParams, missingParams, redisAway,
      // serverShuttingDown, tooManyPendingActions, unknownAction, unsupportedServerType, genericError
      errorStatus: {} as Record<string, number>,
      // describe the API as an OpenAPI 3.1 document at /api/openapi.json; an object extends it: info, securitySchemes, security
      openapi: false as
        | boolean
        | {
            info?: Record<string, any>;
            securitySchemes?: Record<string, any>;
            security?: Record<string, string[]>[];
          },
      // list all missing and invalid params as `errors`, also for actions whose inputs are a table
      listErrors: false,
      // the HTTP status of all other errors
      defaultErrorStatusCode: 500,
      // how long browsers may cache files, in seconds
      flatFileCacheDuration: 60,
      // send ETags for files
      enableEtag: true,
      // store the bytes of every body in connection.rawConnection.params.rawBody
      saveRawBody: false,
      // the number of attempts to listen
      bootAttempts: 1,
      // the cookie that identifies clients
      fingerprintOptions: {
        cookieKey: "sessionID",
        toSetCookie: true,
        // derive it from properties of the request instead of a random number
        onlyStaticElements: false,
        // which responses set it: "all", or those of "actions" and of websocket upgrades
        on: "all" as "all" | "actions",
        // accept only ids that a node with the same general.serverToken created, and replace others
        signed: false,
        // attributes of the cookie; expires in ms, Secure: "auto" for clients that use TLS, with the prefix __Host-
        settings: {
          path: "/",
          expires: 3600000,
        } as Record<string, any>,
      },
      // connection.setCookie
      cookieOptions: {
        // the secrets of signed and encrypted cookies: the first is used for new cookies, all for reading. Empty:
        // general.serverToken
        secrets: [] as string[],
        // default attributes of cookies, e.g. { domain: "example.com", sameSite: "strict" }
        settings: {} as Record<string, any>,
      },
      // forms and uploaded files
      formOptions: {
        // keep all values of a repeated field
        multiples: false,
        uploadDir: os.tmpdir(),
        // temporary files have the extension of the original name
        keepExtensions: false,
        // bytes of all fields together
        maxFieldsSize: 1024 * 1024 * 20,
        // bytes of one uploaded file
        maxFileSize: 1024 * 1024 * 200,
        // the maximum of files of one request
        maxFiles: 100,
      } as Record<string, any>,
      // names with brackets (a[]=1, a[b]=1) result in lists and objects in forms, as in queries
      formBrackets: false,
      // actions that accept files: "all", or only actions that "declared" files with file() in their inputs
      uploads: "all" as "all" | "declared",
      // the maximum bytes of uploaded files of this process on disk, and of concurrent writes
      maxUploadBytes: 2 * 1024 ** 3,
      maxUploadWrites: 8,
      // the maximum bytes of a JSON body; null: formOptions.maxFieldsSize
      maxJsonSize: null as number | null,
      // the maximum depth of JSON; this and the next two also apply to websockets and TCP
      maxBodyDepth: 200,
      // the maximum of keys or params of a request
      maxParams: 10000,
      // the maximum of items of all lists of a request
      maxArrayItems: 1000000,
      // how long a client may take to send its headers, and all of its request, in ms
      headersTimeout: 60 * 1000,
      requestTimeout: 5 * 60 * 1000,
      // how long an idle connection stays open, in ms
      keepAliveTimeout: 5 * 1000,
      // how long a client may read nothing of its response, in ms
      sendTimeout: 2 * 60 * 1000,
      // the indentation of JSON, in spaces; null for none
      padding: 2 as number | string | null,
      // metadata of every response
      metadataOptions: {
        serverInformation: true,
        requesterInformation: true,
      },
      // add the fields of version 3: requestorInformation, and error: "OK" without an error
      legacyEnvelope: false,
      // errors have an HTTP error status instead of 200
      returnErrorCodes: true,
      // compress responses with gzip, deflate or brotli, except images and similar; usually a proxy in front does it
      compress: false,
      // which types may be derived from the extension of a path: "all", or "safe": no active types (HTML, SVG,
      // scripts, ...)
      extensionTypes: "all" as "all" | "safe",
      // send X-Content-Type-Options: nosniff with every response, not only with scripts and pages
      nosniff: false,
      // JSONP: wrap JSON in the call of ?callback=; "strict": only valid function names; false: never
      jsonp: true as boolean | "strict",
      // bodies with fewer bytes are not compressed
      compressThreshold: 1024,
      // options of `qs`, which parses queries with brackets
      queryParseOptions: {} as Record<string, any>,
    };
  },
};

export const production = {
  [namespace]: () => {
    return {
      padding: null as number | null,
      metadataOptions: {
        serverInformation: false,
        requesterInformation: false,
      },
    };
  },
};

export const test = {
  [namespace]: () => {
    return {
      secure: false,
      port: process.env.PORT
        ? process.env.PORT
        : 18080 + parseInt(process.env.JEST_WORKER_ID || "0", 10),
      matchExtensionMime: true,
      metadataOptions: {
        serverInformation: true,
        requesterInformation: true,
      },
    };
  },
};

function automaticRoutes(): string[] {
  const named = process.env.AUTOMATIC_ROUTES;
  if (named === undefined) return [...AUTOMATIC_ROUTES];
  return named
    .split(",")
    .map((verb) => verb.trim().toLowerCase())
    .filter((verb) => verb !== "");
}
