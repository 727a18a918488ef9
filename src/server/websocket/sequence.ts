/** Does tasks one after the other, the first one at once. */
export class Sequence {
  private last: Promise<void> | undefined = undefined;

  /** @param task must not fail */
  add(task: () => Promise<void>): void {
    const done = this.last ? this.last.then(task) : task();
    this.last = done;
    void done.then(() => {
      if (this.last === done) this.last = undefined;
    });
  }
}
