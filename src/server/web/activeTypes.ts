/** Media types whose documents browsers or plug-ins run, or read secrets out of. */

const SUBTYPES = [
  "[^/]*html", // xhtml+xml, too
  "(?:.+\\+)?xml(?:[-.].*)?", // svg, feeds, MathML, stylesheets: all may hold scripts
  "(?:x-)?(?:java|ecma|j|live|vb)script.*",
  "css",
  "x-component",
  "(?:x-)?pdf",
  "x-shockwave-flash",
  "wasm",
  "x-java-.*",
  "java-archive",
  "rfc822",
  "cache-manifest",
].join("|");

const ACTIVE = new RegExp(`^(?:multipart/.*|[^/]+/(?:${SUBTYPES}))$`);

/** @param type as in the header `Content-Type`, with or without parameters */
export function isActiveType(type: string): boolean {
  const [essence = ""] = type.split(";", 1);
  return ACTIVE.test(essence.trim().toLowerCase());
}
