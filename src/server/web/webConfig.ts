/** What the web server reads from `config.web`: any of it may be missing when a project brings its own file. */
import type { CookieAttributes } from "../../cookie/serialize";
import { ActionheroError } from "../../errors";
import type { CertificateSettings } from "../certificateFiles";
import type { FingerprintOptions } from "../identity";
import type { CorsOptions } from "../cors";
import type { OpenApiSettings } from "./openapi";
import { JSON_DEFAULTS } from "../jsonRequest";
import type { TrustProxy } from "../proxies";

export interface FormOptions {
  /** Keep every value of a repeated field, and not only the last. */
  multiples?: boolean;
  uploadDir?: string;
  keepExtensions?: boolean;
  /** Bytes of all fields, or of a JSON body, together. */
  maxFieldsSize?: number;
  /** Bytes of one uploaded file. */
  maxFileSize?: number;
  /** Bytes of all uploaded files of a request together. */
  maxTotalFileSize?: number;
  maxFields?: number;
  maxFiles?: number;
  /** E.g. `"sha256"`: file objects get a `hash`. */
  hashAlgorithm?: string | false;
}

/** A second listener, for HTTPS, beside that for HTTP. */
export interface HttpsConfig extends CertificateSettings {
  enabled?: boolean;
  /** Default 4443. */
  port?: number | string;
  /** Default: that of the first listener. */
  bindIP?: string | null;
  serverOptions?: Record<string, unknown>;
}

/** What `errorStatus` can name a status for: the functions of `config.errors`, and redis that cannot be reached. */
export type ErrorReason =
  | "genericError"
  | "invalidParams"
  | "missingParams"
  | "redisAway"
  | "serverShuttingDown"
  | "tooManyPendingActions"
  | "unknownAction"
  | "unsupportedServerType";

export interface WebConfig {
  /** The HTTP statuses of errors that name none; version 29's for what is missing. */
  errorStatus?: Partial<Record<ErrorReason, number>>;
  enabled?: boolean;
  secure?: boolean;
  serverOptions?: Record<string, unknown>;
  allowedRequestHosts?: string[];
  trustProxy?: TrustProxy;
  port?: number | string;
  healthPort?: number | null;
  bindIP?: string | null;
  https?: HttpsConfig;
  httpHeaders?: Record<string, string | number | string[] | null | undefined>;
  urlPathForActions?: string | null;
  urlPathForFiles?: string | null;
  rootEndpointType?: "api" | "file";
  automaticRoutes?: string[];
  queryRouting?: boolean;
  strictPaths?: boolean;
  strictHttp?: boolean;
  /** Pages for people in place of the texts of errors about files. */
  errorPages?: boolean;
  dotfiles?: "allow" | "ignore";
  /** Bound the requests that a connection may have in flight by `general.simultaneousActions`. */
  limitPipelining?: boolean;
  /** Answer TRACE; otherwise with 405. */
  trace?: boolean;
  legacyEnvelope?: boolean;
  /** Describe the API at `/api/openapi.json`; an object adds to the document. */
  openapi?: boolean | OpenApiSettings;
  /** List all missing and bad params as `errors`, also for actions without a schema. */
  listErrors?: boolean;
  defaultErrorStatusCode?: number;
  flatFileCacheDuration?: number;
  enableEtag?: boolean;
  saveRawBody?: boolean;
  bootAttempts?: number;
  fingerprintOptions?: FingerprintOptions;
  cors?: CorsOptions | null;
  csrf?: boolean;
  cookieOptions?: { secrets?: string[]; settings?: CookieAttributes };
  formOptions?: FormOptions;
  padding?: number | string | null;
  metadataOptions?: {
    serverInformation?: boolean;
    requesterInformation?: boolean;
  };
  returnErrorCodes?: boolean;
  compress?: boolean;
  extensionTypes?: "all" | "safe";
  nosniff?: boolean;
  jsonp?: boolean | "strict";
  compressThreshold?: number;
  /** Options of `qs`. */
  queryParseOptions?: Record<string, unknown>;
  maxBodyDepth?: number;
  maxParams?: number;
  /** Bytes of a JSON body; null: `formOptions.maxFieldsSize`. */
  maxJsonSize?: number | null;
  /** Items of all lists of a JSON document together, on every transport. */
  maxArrayItems?: number;
  /** Which actions take files: all, or those that declare them with `file()`. */
  uploads?: "all" | "declared";
  /** Bytes of all temporary files of this process together. */
  maxUploadBytes?: number;
  /** Temporary files that this process writes to at the same time. */
  maxUploadWrites?: number;
  /** Names with brackets make objects and lists in forms, as they do in queries. */
  formBrackets?: boolean;
  headersTimeout?: number;
  requestTimeout?: number;
  keepAliveTimeout?: number;
  sendTimeout?: number;
}

/** Used when a project's `config.web` lacks the key; config/web.ts says what each means. */
export const WEB_DEFAULTS = {
  flatFileCacheDuration: 60,
  defaultErrorStatusCode: 500,
  compressThreshold: 1024,
  httpsPort: 4443,
  ...JSON_DEFAULTS,
  maxFieldsSize: 20 * 1024 * 1024,
  maxFileSize: 200 * 1024 * 1024,
  maxFiles: 100,
  maxUploadBytes: 2 * 1024 ** 3,
  maxUploadWrites: 8,
  headersTimeout: 60_000,
  requestTimeout: 300_000,
  keepAliveTimeout: 5_000,
  sendTimeout: 120_000,
} as const;

/** The settings of the second listener, in the form of those of the first; undefined when there is none. */
export function httpsSettings(config: WebConfig): WebConfig | undefined {
  if (config.https?.enabled !== true) return undefined;
  const {
    enabled: _,
    port,
    bindIP,
    serverOptions,
    ...certificate
  } = config.https;
  return {
    ...config,
    secure: true,
    serverOptions: { ...certificate, ...serverOptions },
    port: port ?? WEB_DEFAULTS.httpsPort,
    bindIP: bindIP ?? config.bindIP,
  };
}

/** @throws ActionheroError AH_CONFIG for prefixes that contradict each other */
export function checkConfig({
  rootEndpointType,
  urlPathForFiles,
}: WebConfig): void {
  if (!["api", "file", undefined].includes(rootEndpointType)) {
    throw new ActionheroError(
      "AH_CONFIG",
      "rootEndpointType can only be 'api' or 'file'",
    );
  }
  if (!urlPathForFiles && rootEndpointType === "file") {
    throw new ActionheroError(
      "AH_CONFIG",
      'rootEndpointType cannot be "file" without a urlPathForFiles',
    );
  }
}
