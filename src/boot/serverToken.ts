/** Refuses to start without a secret server token, or warns. */
import { env } from "../config/config";
import { settings } from "../config/settings";
import { isKnownServerToken } from "../config/serverToken";
import { ActionheroError } from "../errors";
import { log } from "../log/log";

/** Environments in which other hosts are not expected to reach the server. */
const PRIVATE_ENVIRONMENTS = ["development", "test"];

/**
 * Check `general.serverToken` before anything starts: the token allows calling functions of all nodes and forging
 * sessions.
 * @throws ActionheroError AH_CONFIG when it is missing and `general.requireServerToken` is on
 */
export function checkServerToken(): void {
  const { serverToken, requireServerToken } = settings().general;
  if (!isKnownServerToken(serverToken)) return;
  if (requireServerToken === true && !PRIVATE_ENVIRONMENTS.includes(env)) {
    throw new ActionheroError(
      "AH_CONFIG",
      "general.serverToken is not set: set ACTIONHERO_SERVER_TOKEN to a secret that all nodes share",
    );
  }
  if (env === "production")
    log(
      "general.serverToken is not set: set it to a secret that all nodes share",
      "warning",
    );
}
