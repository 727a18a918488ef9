/** The metadata of a job: a last argument, so that other tools preserve it. */

export interface JobMetadata {
  /** The id of a trackable job. */
  id?: string;
  /** The id of the request or job that enqueued a trackable job. */
  request?: string;
  /** Of such a job: the span that enqueued it. */
  trace?: string;
  /** Counts from 1. */
  attempt?: number;
  /** Distinguishes otherwise identical jobs. */
  salt?: string;
}

const KEY = "ah";

export function withMetadata(args: any[], metadata: JobMetadata): any[] {
  const plain: unknown[] = openArgs(args).args;
  if (Object.keys(metadata).length === 0) return plain;
  return [...(plain.length === 0 ? [null] : plain), { [KEY]: metadata }];
}

/** The first argument always belongs to the user. */
export function openArgs(args: unknown): {
  args: any[];
  metadata?: JobMetadata;
} {
  if (!Array.isArray(args)) return { args: [] };
  const list = args as unknown[];
  const last = list.length > 1 ? list[list.length - 1] : undefined;
  if (!isMetadata(last)) return { args: list };
  return { args: list.slice(0, -1), metadata: last[KEY] };
}

function isMetadata(value: unknown): value is { [KEY]: JobMetadata } {
  if (typeof value !== "object" || value === null) return false;
  const keys = Object.keys(value);
  const metadata = (value as { [KEY]?: unknown })[KEY];
  return (
    keys.length === 1 &&
    keys[0] === KEY &&
    typeof metadata === "object" &&
    metadata !== null
  );
}
