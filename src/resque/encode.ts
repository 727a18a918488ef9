/** Jobs as text, and their definitions. */
import type { Job, Jobs } from "./types";

/** Deleting and finding compare it byte by byte. */
export function encode(queue: string, func: string, args: any[]): string {
  return JSON.stringify({ class: func, queue, args });
}

/** The definition of a class of jobs; a bare function is one without plugins. */
export function jobOf(jobs: Jobs, func: string): Job | undefined {
  const job = Object.hasOwn(jobs, func) ? jobs[func] : undefined;
  return typeof job === "function" ? { perform: job } : job;
}
