/** Wraps JSON into the call that old browsers asked for with `?callback=`. */

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  '"': "&quot;",
  "'": "&#39;",
  "<": "&lt;",
  ">": "&gt;",
};

export function padJsonp(callback: string, json: string): string {
  // valid in JSON, but a line end in old JavaScript
  const script = json
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
  return `${sanitizeCallback(callback)}(${script});`;
}

/** No calls, assignments, templates or blocks: what is left can name a function, and do nothing else. */
function sanitizeCallback(callback: string): string {
  return callback
    .replace(/[()`={}\\\r\n]/g, "")
    .replace(/[&"'<>]/g, (character) => ENTITIES[character]!);
}
