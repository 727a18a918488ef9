/** The context of a task, passed in addition to its inputs. */
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

  /** Created at the first access: most tasks do not use it. */
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

  /** A task that continues after its timeout is no longer the current job of its worker. */
  private get isOver(): boolean {
    return this.worker?.isOver === true;
  }
}
