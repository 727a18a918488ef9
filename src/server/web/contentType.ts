/** The type of a body, by the essence of its `Content-Type` (RFC 9110 section 8.3), without parameters. */
import { TextDecoder } from "node:util";
import { essenceOf, isMediaType } from "../../input/file";
import { remembered } from "../../utils/objects";
import { BodyError } from "./bodyRefusal";

type BodyKind = "json" | "form" | "multipart" | "file" | "other";

interface ContentType {
  kind: BodyKind;
  /** Type and subtype in lower case. */
  essence: string;
  /** Undefined for UTF-8. */
  charset: string | undefined;
}

const KINDS: Record<string, BodyKind> = {
  "application/json": "json",
  "text/json": "json",
  "application/x-www-form-urlencoded": "form",
  "multipart/form-data": "multipart",
  "application/octet-stream": "file",
};

const UTF8 = ["utf-8", "utf8", "us-ascii", "ascii"];

/** A cache, because most clients of a server send the same header. */
export const parseContentType = remembered(parse);

/** The text of a body. A byte order mark is left out. @throws BodyError 415 for an unknown charset */
export function decodeText(bytes: Buffer, charset: string | undefined): string {
  if (charset !== undefined) return decoderFor(charset).decode(bytes);
  const text = bytes.toString("utf8");
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** @throws BodyError 415 */
export function decoderFor(charset: string): TextDecoder {
  try {
    return new TextDecoder(charset);
  } catch {
    throw BodyError.unsupported(
      `the charset ${JSON.stringify(charset.slice(0, 40))} of the request body is unknown`,
    );
  }
}

function parse(header: string): ContentType {
  const essence = essenceOf(header);
  return { kind: kindOf(essence), essence, charset: charsetOf(header) };
}

function kindOf(essence: string): BodyKind {
  if (Object.hasOwn(KINDS, essence)) return KINDS[essence]!;
  return essence.endsWith("+json") && essence.includes("/") ? "json" : "other";
}

function charsetOf(header: string): string | undefined {
  for (const parameter of header.split(";").slice(1)) {
    const equals = parameter.indexOf("=");
    if (equals === -1) continue;
    if (parameter.slice(0, equals).trim().toLowerCase() !== "charset") continue;
    const value = parameter.slice(equals + 1).trim();
    const charset = value.replaceAll('"', "").toLowerCase();
    return charset === "" || UTF8.includes(charset) ? undefined : charset;
  }
  return undefined;
}

// --- Active media types: browsers or plug-ins run their documents, or can be made to read secrets from them.

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
