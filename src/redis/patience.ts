/**
 * A time limit shared by several waits, which excludes the time in which this process was suspended: no reply could be
 * received meanwhile.
 */
export class Patience {
  private readonly stepMs: number;
  private steps: number;

  constructor(limitMs: number) {
    this.stepMs = Math.max(1, Math.min(100, limitMs / 10));
    this.steps = Math.ceil(limitMs / this.stepMs);
  }

  /** The outcome of `work`, or a rejection with `failure` when the limit is reached. */
  async within<T>(work: Promise<T>, failure: () => Error): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (--this.steps <= 0) reject(failure());
      }, this.stepMs);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearInterval(timer);
    }
  }
}
