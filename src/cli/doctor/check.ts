/** The checks of `doctor`: their type, their findings, and how they are run. */

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

type Found = Finding | Finding[] | undefined;

export interface Check<Subject> {
  /** The label of the check; the names of its findings begin with it. */
  name: string;
  /** The condition that must hold, in Markdown. */
  wants: string;
  /** Skipped if one of these checks failed, because it would fail for the same reason. */
  unlessFailed?: readonly string[];
  run: (subject: Subject) => Found | Promise<Found>;
}

/** Run checks one after the other. */
export async function runChecks<Subject>(
  list: readonly Check<Subject>[],
  subject: Subject,
  onCheck: (what: string) => void,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, unlessFailed, run } of list) {
    const isDoomed = findings.some(
      ({ check, verdict }) =>
        verdict === "fail" && unlessFailed?.includes(check) === true,
    );
    if (isDoomed) continue;
    onCheck(name);
    findings.push(...[(await run(subject)) ?? []].flat());
  }
  return findings;
}
