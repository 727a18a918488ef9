/** The settings of the web server that are checked or combined before it listens. */
import { settings, type WebSettings } from "../../config/settings";
import { ActionheroError } from "../../errors";

/** The settings of one listener; there may be two. */
export type ListenerSettings = Pick<
  WebSettings,
  | "secure"
  | "port"
  | "bindIP"
  | "bootAttempts"
  | "headersTimeout"
  | "requestTimeout"
  | "keepAliveTimeout"
> & { serverOptions: object };

/** The first listener. */
export function httpListener(): ListenerSettings {
  const { web } = settings();
  return {
    secure: web.secure,
    serverOptions: web.serverOptions,
    port: web.port,
    bindIP: web.bindIP,
    bootAttempts: web.bootAttempts,
    headersTimeout: web.headersTimeout,
    requestTimeout: web.requestTimeout,
    keepAliveTimeout: web.keepAliveTimeout,
  };
}

/** The second listener, with `web.https`. */
export function httpsListener(): ListenerSettings {
  const { options, port, bindIP } = settings().web.https;
  return {
    ...httpListener(),
    secure: true,
    serverOptions: options,
    port,
    bindIP,
  };
}

/** @throws ActionheroError AH_CONFIG for prefixes that contradict each other */
export function checkPrefixes(): void {
  const { rootEndpointType, urlPathForFiles } = settings().web;
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
