/** Active media types: browsers or plug-ins run their documents, or can be made to read secrets from them. */
import { essenceOf, isMediaType } from "../../input/file";

const SUBTYPES = [
  "[^/]*html", // xhtml+xml, too
  "(?:.+\\+|x-)?xml(?:[-.].*)?", // svg, feeds, MathML, stylesheets: all may hold scripts
  "(?:x-)?xslt?", // browsers parse these as XML, too
  "rdf",
  "unknown", // browsers guess what it is
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

/**
 * Anything that is not exactly one media type counts as active: of a list, browsers use the last.
 * @param type as in the header `Content-Type`, with or without parameters
 */
export function isActiveType(type: string): boolean {
  return !isMediaType(type) || ACTIVE.test(essenceOf(type));
}
