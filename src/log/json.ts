/** Values as texts for log lines. Knows no configuration, as formats are used without one. */
import { escapeControls, escapeJson, MAX_TEXT_LENGTH } from "./escape";

/** JSON, or at least a text; cut, as texts deep inside of it are not. */
export function jsonForLogging(value: unknown): string | undefined {
  try {
    const text = JSON.stringify(value)?.slice(0, MAX_TEXT_LENGTH);
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
