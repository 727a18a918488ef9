/** `web.cors`: origins whose pages may read responses and send cookies. */
import { settings } from "../config/settings";
import type { CorsOptions } from "../config/settingTypes";
import { ActionheroError } from "../errors";
import { remembered } from "../utils/remembered";
import { compileOrigins, isEverybody } from "./origins";

/** A compiled rule. */
export interface Cors {
  /** All origins are allowed, without cookies: responses do not depend on the origin. */
  isForAll: boolean;
  allows: (origin: string) => boolean;
  credentials: boolean;
  methods: string;
  headers: string | undefined;
  exposed: string | undefined;
  maxAge: string;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const MAX_AGE_SECONDS = 600;

const corsOf = remembered(
  (options: CorsOptions | undefined) => options && compile(options),
);

/**
 * The rule of `web.cors`, compiled once for each value; undefined when it is not set.
 * @throws ActionheroError AH_CONFIG for every origin with credentials
 */
export function currentCors(): Cors | undefined {
  return corsOf(settings().web.cors);
}

function compile({
  origins,
  credentials = false,
  methods = METHODS,
  headers,
  exposed = [],
  maxAge = MAX_AGE_SECONDS,
}: CorsOptions): Cors {
  const isForAll = isEverybody(origins);
  if (isForAll && credentials)
    throw new ActionheroError(
      "AH_CONFIG",
      "web.cors cannot allow every origin with credentials: every web site could act for its visitors",
    );
  return {
    isForAll,
    allows: compileOrigins(origins),
    credentials,
    methods: methods.map((method) => method.toUpperCase()).join(", "),
    headers: headers?.join(", "),
    exposed: exposed.length > 0 ? exposed.join(", ") : undefined,
    maxAge: String(maxAge),
  };
}
