import { env } from "../../config/config";
import { settings } from "../../config/settings";

/** Whether the TCP server is to be started: as the configuration says, otherwise in development. */
export function isSocketServerEnabled(): boolean {
  return settings().socket.enabled ?? env === "development";
}
