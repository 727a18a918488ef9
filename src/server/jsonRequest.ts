/** Parses the JSON that clients send, on every transport under the same limits: those of `config.web`. */
import { config } from "../config/config";
import {
  JsonLimitError,
  parseBoundedJson,
  type JsonLimits,
} from "../utils/boundedJson";

export { topLevelScalar } from "../utils/boundedJson";

/** Used when a project's `config.web` lacks the key. */
export const JSON_DEFAULTS = {
  maxBodyDepth: 200,
  maxParams: 10_000,
  maxArrayItems: 1_000_000,
} as const;

export { JsonLimitError };

type JsonSettings = { -readonly [Key in keyof typeof JSON_DEFAULTS]?: number };

const SETTINGS: Record<keyof JsonLimits, keyof JsonSettings> = {
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
  const settings = config.web as JsonSettings | undefined;
  return parseBoundedJson(text, {
    maxDepth: limitOf(settings, "maxBodyDepth"),
    maxKeys: limitOf(settings, "maxParams"),
    maxItems: limitOf(settings, "maxArrayItems"),
  });
}

/** @throws JsonLimitError when a request that is no JSON has more params than `config.web.maxParams` */
export function refuseParams(count: number): void {
  const limit = limitOf(config.web, "maxParams");
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

function limitOf(
  settings: JsonSettings | undefined,
  name: keyof JsonSettings,
): number {
  return settings?.[name] ?? JSON_DEFAULTS[name];
}
