/** What a task gets beside its inputs. */
import type { JobView } from "../resque/jobView";
import type { ParsedJob } from "../resque/types";
import type { TaskContext } from "./task";

/** The context of the job that a worker runs; without a worker, of a run by hand. */
export function contextOf(worker?: JobView): TaskContext {
  return new JobContext(worker);
}

class JobContext implements TaskContext {
  private readonly job?: ParsedJob | null;
  private kept?: AbortSignal;

  constructor(private readonly worker?: JobView) {
    this.job = worker?.job;
  }

  get id(): string | undefined {
    return this.job?.id;
  }

  get attempt(): number {
    return this.job?.attempt ?? 1;
  }

  /** Made when it is asked for: most tasks do not. */
  get signal(): AbortSignal {
    this.kept ??= this.signalNow();
    return this.kept;
  }

  /** Tasks take it out of the context, so it does not need its `this`. */
  get progress(): (value: unknown) => Promise<void> {
    return async (value) => {
      if (!this.isOver) await this.worker?.progress(value);
    };
  }

  private signalNow(): AbortSignal {
    if (!this.worker) return new AbortController().signal;
    return this.isOver ? AbortSignal.abort() : this.worker.signal;
  }

  /** A task that goes on after its time is no longer what its worker runs. */
  private get isOver(): boolean {
    return this.worker?.isOver === true;
  }
}
