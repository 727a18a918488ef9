import * as os from "os";
import type { ActionheroConfigInterface } from "../src";

const namespace = "web";

declare module "../src" {
  interface ActionheroConfigInterface {
    [namespace]: ReturnType<(typeof DEFAULT)[typeof namespace]>;
  }
}

/** Every action has the path `/api/<name>` for these methods, unless AUTOMATIC_ROUTES says otherwise. */
const AUTOMATIC_ROUTES = ["get", "post", "put", "patch", "delete"];

export const DEFAULT = {
  [namespace]: (config: ActionheroConfigInterface) => {
    return {
      enabled: true,
      // HTTPS? Then serverOptions needs `key` and `cert`, or the paths `keyFile` and `certFile`
      secure: false,
      // passed to http(s).createServer
      serverOptions: {} as Record<string, any>,
      // e.g. ["https://www.site.com"]; clients that come by another name are redirected to the first
      allowedRequestHosts: process.env.ALLOWED_HOSTS
        ? process.env.ALLOWED_HOSTS.split(",")
        : ([] as string[]),
      // the proxies in front, whose X-Forwarded-For, -Proto and -Host tell the client's address, scheme and host: false for none,
      // a number of hops, networks ("10.0.0.0/8, loopback"), or { _toExpand: false, trusts: (address, hop) => boolean }.
      // undefined: whoever writes X-Real-IP or X-Forwarded-For is believed, as in version 29
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
      // a port for /healthz and /readyz alone (config/health.ts); undefined: they are on `port`
      healthPort: undefined as number | undefined,
      // the address to listen on; "::" and null are every one; it does not count for a unix socket
      bindIP: "::" as string | null,
      // a second listener for HTTPS, beside the first: { enabled: true, keyFile, certFile, port: 4443, bindIP }
      https: { enabled: false } as {
        enabled: boolean;
        port?: number | string;
        bindIP?: string | null;
        keyFile?: string;
        certFile?: string;
        // passed to https.createServer
        serverOptions?: Record<string, any>;
      },
      // headers of every answer
      httpHeaders: {
        "X-Powered-By": config.general.serverName,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods":
          "HEAD, GET, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
        "Access-Control-Allow-Headers": "Content-Type",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
      } as Record<string, any>,
      // Other sites whose pages may read responses. Undefined: httpHeaders decides, for every site. Otherwise an object:
      // origins ("*", a list of origins, RegExps, or with _toExpand: false a function), credentials (false), methods,
      // headers (those asked for), exposed ([]), maxAge (600 s). Access-Control-* of httpHeaders are not sent then
      cors: undefined as
        | {
            origins: any; // string, RegExp, a list of them, or (origin: string) => boolean
            credentials?: boolean;
            methods?: string[];
            headers?: string[];
            exposed?: string[];
            maxAge?: number;
            _toExpand?: false;
          }
        | undefined,
      // refuse (403) requests and websockets that pages of other sites send with the cookies of this one, except those of
      // cors.origins with credentials, and of GET, HEAD, OPTIONS and TRACE
      csrf: false,
      // the prefix of actions; may have several parts, or be null for none
      urlPathForActions: "api" as string | null,
      // the prefix of files
      urlPathForFiles: "public" as string | null,
      // what is below "/": "api" or "file"
      rootEndpointType: "file" as "api" | "file",
      // the methods for which every action gets a route of its own
      automaticRoutes: automaticRoutes(),
      // of requests that come before the answers to earlier ones, take general.simultaneousActions per connection
      limitPipelining: false,
      // answer TRACE with what the server understood; otherwise with 405
      trace: true,
      // let ?action= name the action of any path that no route matches, and not only of the prefix alone
      queryRouting: false,
      // in paths, "+" is a plus and a malformed "%zz" a 400, instead of a space and a param that is left out
      strictPaths: false,
      // the rules of RFC 9110: 405 with Allow, redirects from /folder to /folder/, charsets, strong ETags, If-Match
      strictHttp: false,
      // "ignore" answers files and folders whose name begins with a dot as missing, except .well-known
      dotfiles: "allow" as "allow" | "ignore",
      // respond to requests for missing files with a page if the client prefers text/html, otherwise with a text
      errorPages: false,
      // the HTTP status of errors that name none, by what went wrong: invalidParams, missingParams, redisAway,
      // serverShuttingDown, tooManyPendingActions, unknownAction, unsupportedServerType, genericError
      errorStatus: {} as Record<string, number>,
      // describe the API as an OpenAPI 3.1 document at /api/openapi.json; an object adds to it: info, securitySchemes, security
      openapi: false as
        | boolean
        | {
            info?: Record<string, any>;
            securitySchemes?: Record<string, any>;
            security?: Record<string, string[]>[];
          },
      // list all missing and bad params as `errors`, also for actions whose inputs are a table and no schema
      listErrors: false,
      // the HTTP status of all other errors
      defaultErrorStatusCode: 500,
      // how long browsers may keep files, in seconds
      flatFileCacheDuration: 60,
      // send ETags for files
      enableEtag: true,
      // keep the bytes of every body in connection.rawConnection.params.rawBody
      saveRawBody: false,
      // how often to try to listen
      bootAttempts: 1,
      // the cookie by which clients are told apart
      fingerprintOptions: {
        cookieKey: "sessionID",
        toSetCookie: true,
        // derive it from traits of the request instead of chance
        onlyStaticElements: false,
        // where it is sent: "all" responses, or those of "actions" and of websocket upgrades
        on: "all" as "all" | "actions",
        // take only ids that a node with the same general.serverToken has made, and replace others
        signed: false,
        // attributes of the cookie; expires in ms, Secure: "auto" for clients that come by TLS
        settings: {
          path: "/",
          expires: 3600000,
        } as Record<string, any>,
      },
      // connection.setCookie
      cookieOptions: {
        // sign and encrypt cookies: the first does, all open what they sealed. None: general.serverToken
        secrets: [] as string[],
        // attributes of every cookie that does not say otherwise, e.g. { domain: "example.com", sameSite: "strict" }
        settings: {} as Record<string, any>,
      },
      // forms and uploaded files
      formOptions: {
        // keep all values of a field that comes several times
        multiples: false,
        uploadDir: os.tmpdir(),
        // temporary files keep the extension of the original name
        keepExtensions: false,
        // bytes of all fields together
        maxFieldsSize: 1024 * 1024 * 20,
        // bytes of one uploaded file
        maxFileSize: 1024 * 1024 * 200,
        // files of one request
        maxFiles: 100,
      } as Record<string, any>,
      // names with brackets (a[]=1, a[b]=1) make lists and objects in forms, as they do in queries
      formBrackets: false,
      // who takes files: "all" actions, or those that have "declared" them with file() in their inputs
      uploads: "all" as "all" | "declared",
      // bytes of all uploaded files that this process holds on disk, and how many of them it writes to at once
      maxUploadBytes: 2 * 1024 ** 3,
      maxUploadWrites: 8,
      // bytes of a JSON body; null is formOptions.maxFieldsSize
      maxJsonSize: null as number | null,
      // how deep JSON may be; this and the next two hold for websockets and TCP, too
      maxBodyDepth: 200,
      // how many keys or params a request may have
      maxParams: 10000,
      // how many items all lists of a request may have together
      maxArrayItems: 1000000,
      // how long a client may take to send its headers, and all of its request, in ms
      headersTimeout: 60 * 1000,
      requestTimeout: 5 * 60 * 1000,
      // how long an idle connection stays open, in ms
      keepAliveTimeout: 5 * 1000,
      // how long a client may read nothing of its answer, in ms
      sendTimeout: 2 * 60 * 1000,
      // how many spaces JSON is indented by; null for none
      padding: 2 as number | string | null,
      // what to add to every answer
      metadataOptions: {
        serverInformation: true,
        requesterInformation: true,
      },
      // add what version 3 added: requestorInformation, and error: "OK" where there is none
      legacyEnvelope: false,
      // errors have an HTTP status of their own, and not 200
      returnErrorCodes: true,
      // compress answers with gzip, deflate or brotli, except images and the like; a proxy in front usually does it
      compress: false,
      // which types the end of a path may give: "all", or "safe": none that browsers run (HTML, SVG, scripts, ...)
      extensionTypes: "all" as "all" | "safe",
      // tell browsers with every answer not to guess its type, and not only where it is a script or a page
      nosniff: false,
      // wrap JSON into the call that ?callback= names; "strict": only into the name of a function; false: never
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
