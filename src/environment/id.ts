/** The name of this process in the cluster. */
import { flagValue } from "./argv";
import { getExternalIPAddress } from "../utils/addresses";

/**
 * `--title`, else ACTIONHERO_TITLE, else `test-server-N` under jest, else `config.general.id`,
 * else `<ip>:<pid>` (so that two processes on one host have different ids).
 */
export function readId(configuredId?: string): string {
  const title = flagValue("title") || process.env.ACTIONHERO_TITLE;
  if (title) return title;
  if (process.env.JEST_WORKER_ID)
    return `test-server-${process.env.JEST_WORKER_ID}`;
  if (configuredId) return configuredId;
  return `${getExternalIPAddress() ?? "actionhero"}:${process.pid}`;
}
