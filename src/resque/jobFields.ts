/** The fields that a worker reports for a trackable job. */
import type { JobView } from "./jobView";
import type { JobFields } from "./store/store";

/** The longest stored result, in characters: redis is not a file store. */
const MAX_RESULT_LENGTH = 65_536;

/** Fields that are written atomically with the report of a job. */
export function finalFields(view: JobView): JobFields {
  if (view.error) return { state: "failed", error: errorText(view.error) };
  if (view.isRetried) return { state: "retrying" };
  if (view.isPostponed) return { state: "delayed" };
  return { state: "done", result: shortJson(view.result) };
}

/** @returns JSON; nothing for a value that has none, e.g. because it contains itself, or whose JSON is too long */
export function shortJson(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    return "";
  }
  return text === undefined || text.length > MAX_RESULT_LENGTH ? "" : text;
}

function errorText({ message }: Error): string {
  return typeof message === "string" ? message : "";
}
