/** Checks of settings that are valid but wrong in production. */
import { problemsOfSettings } from "../../config/knownSettings";
import { isKnownServerToken } from "../../config/serverToken";
import type { ActionheroConfigInterface } from "../../config/types";
import { fail, ok, warn, type Finding } from "./finding";
import { checkHazards, type Settings } from "./hazards";

/** What a server needs to speak TLS. */
type TlsOptions = Record<string, unknown> | undefined;

/** Unknown names, and values of a wrong type, which would otherwise go unnoticed. */
export function checkNames(config: ActionheroConfigInterface): Finding[] {
  const problems = problemsOfSettings(config);
  if (problems.length === 0)
    return [ok("setting names", "every setting is known")];
  return problems.map(({ setting, message }) =>
    warn("setting names", `${setting} ${message}`),
  );
}

export function checkSettings(config: Settings, env: string): Finding[] {
  const findings = [checkToken(config, env), ...checkCertificates(config)];
  if (env === "production")
    findings.push(
      ...checkWorkers(config),
      ...checkKeepAlive(config),
      ...checkHazards(config),
    );
  return findings;
}

function checkToken({ general }: Settings, env: string): Finding {
  if (!isKnownServerToken(general?.serverToken))
    return ok("server token", "is the project's own");
  const message =
    "general.serverToken is missing or the default: set one of your own";
  return env === "production"
    ? fail("server token", message)
    : ok("server token", "is the default, which production must not use");
}

/** Every TLS listener has a certificate. */
function checkCertificates({ web, socket }: Settings): Finding[] {
  const https = web?.https as TlsOptions;
  const listeners: [name: string, isOn: unknown, options: TlsOptions][] = [
    ["web", web?.secure, web?.serverOptions as TlsOptions],
    [
      "web.https",
      https?.enabled,
      { ...https, ...(https?.serverOptions as TlsOptions) },
    ],
    ["socket", socket?.secure, socket?.serverOptions as TlsOptions],
  ];
  return listeners
    .filter(([, isOn]) => isOn === true)
    .map(([name, , options]) =>
      hasCertificate(options)
        ? ok("certificate", `${name} has one`)
        : fail("certificate", `${name} speaks TLS, and has no key and cert`),
    );
}

function hasCertificate(options: TlsOptions = {}): boolean {
  const { key, cert, pfx, keyFile, certFile, SNICallback } = options;
  const hasPair = (key || keyFile) && (cert || certFile);
  return Boolean(pfx || hasPair || SNICallback);
}

function checkWorkers({ tasks }: Settings): Finding[] {
  if (!tasks || Number(tasks.maxTaskProcessors) > 0) return [];
  return [
    warn(
      "task workers",
      "tasks.maxTaskProcessors is 0: no enqueued task runs in this process",
    ),
  ];
}

/** How long load balancers keep idle connections, in ms: 60 s is the default of AWS, and of nginx for its upstreams. */
const BALANCER_IDLE_MS = 60_000;

/**
 * The balancer must be the side that closes an idle connection: otherwise a request may arrive at a closed
 * connection.
 */
function checkKeepAlive({ web }: Settings): Finding[] {
  const idleMs = Number(web?.keepAliveTimeout);
  if (web?.enabled !== true || !(idleMs > 0 && idleMs <= BALANCER_IDLE_MS))
    return [];
  return [
    warn(
      "keep-alive",
      `web.keepAliveTimeout is ${idleMs} ms: a load balancer that keeps connections longer (60 s as a rule) answers 502 now and then`,
    ),
  ];
}
