/** What a task gets beside its inputs. */
import type { Worker } from "../resque/worker";
import type { TaskContext } from "./task";

/** What the engine offers a running job. */
interface JobHost {
  signal?: AbortSignal;
  progress?(value: unknown): Promise<unknown>;
}

/** The context of the job that a worker begins; without a worker, of a run by hand. */
export function contextOf(worker?: Worker): TaskContext {
  return new JobContext(worker);
}

class JobContext implements TaskContext {
  readonly id?: string;
  readonly attempt: number;
  private readonly host?: JobHost;
  private ownSignal?: AbortSignal;

  constructor(worker?: Worker) {
    this.host = worker as JobHost | undefined;
    // the worker may have another job when a late task asks
    this.id = worker?.job?.id;
    this.attempt = worker?.job?.attempt ?? 1;
    this.ownSignal = this.host?.signal;
  }

  /** Made when it is asked for: most tasks do not. */
  get signal(): AbortSignal {
    return (this.ownSignal ??= new AbortController().signal);
  }

  async progress(value: unknown): Promise<void> {
    if (this.id !== undefined) await this.host?.progress?.(value);
  }
}
