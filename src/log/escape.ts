/**
 * Values as texts for log lines, escaped against forged lines and terminal escape sequences. Reads no configuration, since
 * formats are used without one.
 */

/** C0 and C1 control characters, DEL, and the line separators of Unicode. */
// eslint-disable-next-line no-control-regex -- they are what it is about
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const CONTROLS = new RegExp(CONTROL, "g");
/** In a stack, all but the line breaks before its frames, which are indented and so forge nothing. */
const CONTROLS_OF_STACK = new RegExp(`(?!\\n {4}at )${CONTROL.source}`, "g");

/** The maximum length of a string in a log line, in characters: a client can put megabytes into an error message. */
export const MAX_TEXT_LENGTH = 64 * 1024;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** The beginning of a text that is too long for a log line, and its length. */
export function cutText(text: string, max = MAX_TEXT_LENGTH): string {
  return text.length > max
    ? `${text.slice(0, max)}... (${text.length} characters)`
    : text;
}

/** The text with each control character written as its escape sequence, such as `\n` or `\x1b`. */
export function escapeControls(text: string): string {
  return CONTROL.test(text) ? text.replace(CONTROLS, escapeOne) : text;
}

/** The fields of a log line, escaped and truncated; a `stack` keeps its lines. */
export function escapeFields(fields: object): object {
  const source = fields as Record<string, unknown>;
  let escaped: Record<string, unknown> | undefined;
  for (const key of Object.keys(source)) {
    const value = source[key];
    if (typeof value !== "string") continue;
    if (value.length <= MAX_TEXT_LENGTH && !CONTROL.test(value)) continue;
    escaped ??= { ...source };
    escaped[key] = escapeField(key, value);
  }
  return escaped ?? fields;
}

/**
 * Escape and truncate the fields in place, for a line that belongs to the caller.
 * @returns whether nothing is left to escape: no field is an object
 */
export function escapeOwnFields(fields: { [name: string]: unknown }): boolean {
  let isFlat = true;
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (typeof value === "string") {
      if (value.length > MAX_TEXT_LENGTH || CONTROL.test(value))
        fields[key] = escapeField(key, value);
    } else if (typeof value === "object" && value !== null) isFlat = false;
  }
  return isFlat;
}

/** One field of a log line as text, truncated. */
export function escapeField(name: string, value: string): string {
  const text = cutText(value);
  return name === "stack"
    ? text.replace(CONTROLS_OF_STACK, escapeOne)
    : escapeControls(text);
}

/** A field in quotation marks; the line breaks of a stack stay. */
export function quoteField(name: string, escaped: string): string {
  if (name !== "stack") return JSON.stringify(escaped);
  const lines = escaped.split("\n").map((line) => JSON.stringify(line));
  return `"${lines.map((line) => line.slice(1, -1)).join("\n")}"`;
}

/** JSON leaves DEL, C1 and the line separators as they are; escaped, it means the same. */
export function escapeJson(json: string): string {
  return CONTROL.test(json)
    ? json.replace(
        CONTROLS,
        (character) =>
          `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
      )
    : json;
}

function escapeOne(character: string): string {
  const code = character.charCodeAt(0);
  const hex = code.toString(16);
  return (
    SHORT[character] ??
    (code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex}`)
  );
}

// --- Values that are not texts.

/**
 * JSON, or at least a text.
 * @param max the length at which it is cut, in characters
 * @param replacer as of `JSON.stringify`
 */
export function jsonForLogging(
  value: unknown,
  max = MAX_TEXT_LENGTH,
  replacer?: JsonReplacer,
): string | undefined {
  try {
    const text = JSON.stringify(value, replacer)?.slice(0, max);
    return text && escapeJson(text);
  } catch {
    // circular, or a throwing toJSON: a log line must not fail a request
    return escapeControls(plainText(value));
  }
}

/** The text of any value: an object may lack a prototype, or have a `toString` that throws. */
export function plainText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

type JsonReplacer = (key: string, value: unknown) => unknown;

/** Shows errors in one JSON text with their properties: JSON itself has the enumerable ones only. */
export function errorsInJson(): JsonReplacer {
  // one object for each error, so that JSON detects a cause that contains the error
  const shown = new Map<Error, object>();
  return (_key, value) => {
    if (!(value instanceof Error)) return value;
    let properties = shown.get(value);
    if (!properties) shown.set(value, (properties = propertiesOf(value)));
    return properties;
  };
}

/** The properties of an error that a log line shows. */
export function propertiesOf(error: Error): object {
  const { name, message, stack, cause } = error;
  const { errors } = error as { errors?: unknown };
  return Object.assign(
    { name, message, stack },
    error,
    cause !== undefined && { cause },
    errors !== undefined && { errors },
  );
}
