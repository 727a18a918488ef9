/** Compiles a setting of origins: origins, patterns, functions. */
import type { AllowedOrigins } from "../config/settingTypes";

/** Longer than any host with its scheme and port: patterns of the project are not tried on more. */
export const MAX_ORIGIN_LENGTH = 512;

/** The origin of local files and sandboxed frames, which identifies no site. */
const OPAQUE = "null";

/** `"*"`, an origin, or one with a star for a part (`https://*.site.com`). */
export function matchesOrigin(origin: string, allowed: string): boolean {
  const wanted = allowed.trim().replace(/\/$/, "").toLowerCase();
  if (wanted === "*") return true;
  const [before = "", after] = wanted.split("*");
  const given = origin.toLowerCase();
  if (after === undefined) return given === wanted;
  return (
    given.length > before.length + after.length &&
    given.startsWith(before) &&
    given.endsWith(after) &&
    /^[a-z0-9.-]+$/.test(given.slice(before.length, -after.length || undefined))
  );
}

/** Whether a setting allows every origin by a star. */
export function isEverybody(origins: AllowedOrigins): boolean {
  if (typeof origins === "function" || origins instanceof RegExp) return false;
  return listOf(origins).some(
    (one) => typeof one === "string" && one.trim() === "*",
  );
}

/** The rule of a setting. A pattern has to match the whole origin. */
export function compileOrigins(
  origins: AllowedOrigins,
): (origin: string) => boolean {
  if (typeof origins === "function")
    return (origin) => origin.length <= MAX_ORIGIN_LENGTH && origins(origin);
  const list = listOf(origins).map((one) =>
    one instanceof RegExp ? anchored(one) : one,
  );
  return (origin) =>
    origin.length <= MAX_ORIGIN_LENGTH &&
    list.some((one) =>
      one instanceof RegExp
        ? origin !== OPAQUE && one.test(origin)
        : matchesOrigin(origin, one),
    );
}

function listOf(
  origins: Exclude<AllowedOrigins, (origin: string) => boolean>,
): readonly (string | RegExp)[] {
  if (typeof origins === "string")
    return origins.split(",").filter((one) => one.trim() !== "");
  return origins instanceof RegExp ? [origins] : origins;
}

/** Without this, `/site\.com/` would match `https://site.com.evil.org`. */
function anchored({ source, flags }: RegExp): RegExp {
  return new RegExp(`^(?:${source})$`, flags.replace(/[gy]/g, ""));
}
