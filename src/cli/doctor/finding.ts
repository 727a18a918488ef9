/** The result of a check of `doctor`. */

/** `fail` makes the exit code 1; `warn` deserves attention. */
export type Verdict = "ok" | "warn" | "fail";

export interface Finding {
  verdict: Verdict;
  /** The subject of the check, e.g. `"redis"`. */
  check: string;
  message: string;
}

export function ok(check: string, message: string): Finding {
  return { verdict: "ok", check, message };
}

export function warn(check: string, message: string): Finding {
  return { verdict: "warn", check, message };
}

export function fail(check: string, message: string): Finding {
  return { verdict: "fail", check, message };
}
