/** Jobs as text, and their definitions. */
import type { Job, Jobs } from "./types";

/** Deleting and finding compare it byte by byte. */
export function encode(queue: string, func: string, args: any[]): string {
  return JSON.stringify({ class: func, queue, args });
}

/** What a job continues: the id and the span of the work that enqueued it. */
export interface JobContext {
  request?: string;
  trace?: string;
}

/**
 * The text of a job that carries a context: its last field, behind `args`, which other programs ignore. The text without it,
 * the bare one, is what deleting and finding compare.
 */
export function withContext(raw: string, context: JobContext): string {
  // no braces within, so that the field is found from the end
  const fields = JSON.stringify(context)
    .slice(1, -1)
    .replace(/[{}]/g, (brace) => (brace === "{" ? "\\u007b" : "\\u007d"));
  return joinContext(raw, `{${fields}}`);
}

/** @param context JSON as `splitContext` returns it */
export function joinContext(bare: string, context: string | undefined): string {
  return context ? `${bare.slice(0, -1)},"ah":${context}}` : bare;
}

const CARRIED = /^([^]*\]),"ah":(\{[^{}]*\})\}$/;

/** The bare text of a job, and the JSON of the context that it carries, if any. */
export function splitContext(raw: string): { bare: string; context?: string } {
  const [, head, context] = (raw.endsWith("}}") && CARRIED.exec(raw)) || [];
  return context ? { bare: `${head}}`, context } : { bare: raw };
}

/** The definition of a class of jobs; a bare function is one without plugins. */
export function jobOf(jobs: Jobs, func: string): Job | undefined {
  const job = Object.hasOwn(jobs, func) ? jobs[func] : undefined;
  return typeof job === "function" ? { perform: job } : job;
}
