/** JSONP: wraps JSON in the call requested by `?callback=` (`config.web.jsonp`). */
import { HttpError } from "../../errors";
import { escapeHtml } from "./errorPage";
import type { WebSettings } from "../../config/settings";

/** What a function is called by, at most: `app.callbacks[1]`. */
const STRICT = /^[\w$.[\]]{1,128}$/;

type Settings = Pick<WebSettings, "jsonp">;

/** The name of the callback function; undefined for plain JSON. */
export function callbackOf(
  { jsonp }: Settings,
  params: { callback?: unknown },
): string | undefined {
  if (jsonp === false) return undefined;
  const { callback } = params;
  if (typeof callback !== "string" || callback === "") return undefined;
  return jsonp === "strict" && !STRICT.test(callback) ? undefined : callback;
}

/** @throws HttpError for a callback that `"strict"` does not allow */
export function checkCallback(
  { jsonp }: Settings,
  { callback }: { callback?: unknown },
): void {
  if (jsonp !== "strict" || !callback) return;
  if (typeof callback !== "string" || !STRICT.test(callback))
    throw new HttpError(400, "callback is not the name of a function");
}

/**
 * @param isStrict the name was validated; the comment prevents other programs from parsing the start as their own
 * format
 */
export function padJsonp(
  callback: string,
  json: string,
  isStrict: boolean,
): string {
  // valid in JSON, but a line end in old JavaScript
  const script = json
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
  return isStrict
    ? `/**/${callback}(${script});`
    : `${sanitizeCallback(callback)}(${script});`;
}

/** No calls, assignments, templates or blocks: what is left can name a function, and do nothing else. */
function sanitizeCallback(callback: string): string {
  return escapeHtml(callback.replace(/[()`={}\\\r\n]/g, ""));
}
