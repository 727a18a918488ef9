/** Media types as clients and projects write them (RFC 9110 section 8.3.1). */

// the grammar also allows "*", but only for ranges of types
const TOKEN = "[\\w!#$%&'+.^`|~-]+";
const VALUE = `(?:${TOKEN}|"[^"\\\\]*")`;

const ESSENCE = new RegExp(`^${TOKEN}/${TOKEN}$`);
const MEDIA_TYPE = new RegExp(
  `^[ \\t]*${TOKEN}/${TOKEN}(?:[ \\t]*;(?:[ \\t]*${TOKEN}=${VALUE})?)*[ \\t]*$`,
);

/** Whether it is one type and one subtype, without parameters. */
export function isEssence(text: string): boolean {
  return ESSENCE.test(text);
}

/** Whether it is exactly one media type, optionally with parameters. */
export function isMediaType(text: string): boolean {
  return MEDIA_TYPE.test(text);
}

/** Type and subtype of a media type, in lower case. */
export function essenceOf(mediaType: string): string {
  const semicolon = mediaType.indexOf(";");
  const essence = semicolon === -1 ? mediaType : mediaType.slice(0, semicolon);
  return essence.trim().toLowerCase();
}
