/** Parses the JSON that clients send, on every transport under the same limits: those of `config.web`. */
import { settings } from "../config/settings";
import {
  JsonLimitError,
  parseBoundedJson,
  type JsonLimits,
} from "../utils/boundedJson";

export { topLevelScalar } from "../utils/boundedJson";

export { JsonLimitError };

const SETTINGS: Record<keyof JsonLimits, string> = {
  maxDepth: "maxBodyDepth",
  maxKeys: "maxParams",
  maxItems: "maxArrayItems",
};

const UNITS: Record<keyof JsonLimits, string> = {
  maxDepth: "levels",
  maxKeys: "params",
  maxItems: "items",
};

/** @throws JsonLimitError before anything is parsed, SyntaxError */
export function parseJsonRequest(text: string): unknown {
  const { web } = settings();
  return parseBoundedJson(text, {
    maxDepth: web.maxBodyDepth,
    maxKeys: web.maxParams,
    maxItems: web.maxArrayItems,
  });
}

/** @throws JsonLimitError when a request that is no JSON has more params than `config.web.maxParams` */
export function refuseParams(count: number): void {
  const limit = settings().web.maxParams;
  if (count > limit) throw new JsonLimitError("maxKeys", limit);
}

/** What a client of a persistent connection is told that exceeded a limit. */
export function describeJsonLimit(error: JsonLimitError): string {
  const { exceeded, limit } = error;
  return exceeded === "maxDepth"
    ? `the request is nested more than ${limit} levels deep`
    : limitText(error);
}

/** The same for HTTP, where the text names the setting in every case. */
export function limitText({ exceeded, limit }: JsonLimitError): string {
  return `the request has too many ${UNITS[exceeded]}: web.${SETTINGS[exceeded]} is ${limit}`;
}
