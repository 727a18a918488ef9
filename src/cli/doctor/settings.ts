/** Checks of settings that are legal, and wrong in production. */
import { fail, ok, warn, type Finding } from "./finding";

type Settings = Record<string, Record<string, unknown> | undefined>;

/** The token that the defaults bring: everybody knows it. */
const DEFAULT_TOKEN = "change-me";

export function checkSettings(config: Settings, env: string): Finding[] {
  const findings = [checkToken(config, env), ...checkCertificate(config)];
  if (env === "production") findings.push(...checkWorkers(config));
  return findings;
}

function checkToken({ general }: Settings, env: string): Finding {
  if (general?.serverToken !== DEFAULT_TOKEN)
    return ok("server token", "is the project's own");
  const message = "general.serverToken is the default: set one of your own";
  return env === "production"
    ? fail("server token", message)
    : ok("server token", "is the default, which production must not use");
}

function checkCertificate({ web }: Settings): Finding[] {
  if (!web?.secure) return [];
  const options = (web.serverOptions ?? {}) as Record<string, unknown>;
  const { key, cert, pfx, keyFile, certFile } = options;
  return pfx || ((key || keyFile) && (cert || certFile))
    ? [ok("certificate", "web.serverOptions has one")]
    : [
        fail(
          "certificate",
          "web.secure is on, web.serverOptions has no key and cert",
        ),
      ];
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
