/** Checks of settings that are valid but wrong in production. */
import { problemsOfSettings } from "../../config/knownSettings";
import { isKnownServerToken } from "../../config/serverToken";
import type { ActionheroConfigInterface } from "../../config/types";
import { stopTimeout } from "../../environment/env";
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

/** One check of the configuration. */
export interface SettingCheck {
  name: string;
  /** What must hold, in Markdown. */
  wants: string;
  run: (config: Settings, env: string) => Finding[];
}

const inProduction =
  (run: (config: Settings) => Finding[]): SettingCheck["run"] =>
  (config, env) =>
    env === "production" ? run(config) : [];

export const settingChecks: readonly SettingCheck[] = [
  {
    name: "server token",
    wants:
      "`general.serverToken` is a secret of the project, the same on all nodes",
    run: checkToken,
  },
  {
    name: "certificate",
    wants: "every listener that speaks TLS has a key and a certificate",
    run: checkCertificates,
  },
  {
    name: "session cookie",
    wants:
      "`session.cookie` and `web.fingerprintOptions.cookieKey` are different names",
    run: checkCookies,
  },
  {
    name: "task workers",
    wants: "`tasks.maxTaskProcessors` is not 0, unless other processes work",
    run: inProduction(checkWorkers),
  },
  {
    name: "keep-alive",
    wants: "`web.keepAliveTimeout` is longer than that of the load balancer",
    run: inProduction(checkKeepAlive),
  },
  {
    name: "shutdown",
    wants:
      "`general.shutdownTimeout` is shorter than `ACTIONHERO_SHUTDOWN_TIMEOUT`",
    run: inProduction(checkShutdown),
  },
  {
    name: "security",
    wants: "none of the [unsafe settings](#unsafe-settings)",
    run: inProduction(checkHazards),
  },
];

export function checkSettings(config: Settings, env: string): Finding[] {
  return settingChecks.flatMap(({ run }) => run(config, env));
}

function checkToken({ general }: Settings, env: string): Finding[] {
  if (!isKnownServerToken(general?.serverToken))
    return [ok("server token", "is the project's own")];
  const message =
    "general.serverToken is missing or the default: set one of your own";
  return [
    env === "production"
      ? fail("server token", message)
      : ok("server token", "is the default, which production must not use"),
  ];
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

/** Two cookies of one name replace each other. */
function checkCookies({ session, web }: Settings): Finding[] {
  const { cookieKey } = (web?.fingerprintOptions ?? {}) as {
    cookieKey?: unknown;
  };
  if (session?.enabled !== true || session.cookie !== cookieKey) return [];
  return [
    fail(
      "session cookie",
      `session.cookie and web.fingerprintOptions.cookieKey are both "${String(cookieKey)}": they replace each other`,
    ),
  ];
}

/** What runs is cut off when the process ends before its servers have stopped. */
function checkShutdown({ general }: Settings): Finding[] {
  const neededMs = Number(general?.shutdownTimeout);
  const limitMs = stopTimeout();
  if (!(neededMs >= limitMs)) return [];
  return [
    warn(
      "shutdown",
      `general.shutdownTimeout is ${neededMs} ms: the process ends after ${limitMs} ms (ACTIONHERO_SHUTDOWN_TIMEOUT), and cuts off what still runs`,
    ),
  ];
}
