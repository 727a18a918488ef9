/** The settings of the websocket server that are checked before it starts. */
import { config } from "../../config/config";
import { settings } from "../../config/settings";
import type { PrimusOptions } from "../../config/settingTypes";
import { ActionheroError } from "../../errors";

/** Options of Primus that would change the wire format. */
const FIXED: Record<string, { allowed: unknown[]; spoken: string }> = {
  transformer: { allowed: ["websockets", "ws"], spoken: "websockets" },
  parser: { allowed: ["json"], spoken: "JSON" },
};

/** @throws ActionheroError AH_CONFIG for options that ask for something that is not there */
export function checkConfig(): void {
  const { bind } = settings().websocket;
  const server = (config.websocket?.server ?? {}) as PrimusOptions;
  if (![undefined, "http", "https"].includes(bind))
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.bind can only be 'http' or 'https'",
    );
  for (const [option, { allowed, spoken }] of Object.entries(FIXED)) {
    const value = server[option];
    if (value === undefined || value === null) continue;
    if (typeof value === "string" && allowed.includes(value.toLowerCase()))
      continue;
    throw new ActionheroError(
      "AH_CONFIG",
      `websocket.server.${option} cannot be set: clients are spoken to in ${spoken} only`,
    );
  }
  const { plugin } = server;
  if (plugin && !(typeof plugin === "object" && isEmpty(plugin))) {
    throw new ActionheroError(
      "AH_CONFIG",
      "websocket.server.plugin cannot be set: there is no Primus to plug into",
    );
  }
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
