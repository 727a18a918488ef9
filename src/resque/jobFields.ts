/** What a worker tells about a job that can be looked up by its id. */
import type { JobView } from "./jobView";
import type { JobFields } from "./store/store";

/** Longer results are not kept, in characters: redis is not a store of files. */
const MAX_RESULT_LENGTH = 65_536;

/** What holds together with the report of a job. */
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
