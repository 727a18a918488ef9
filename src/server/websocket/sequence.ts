/** Does tasks one after the other, the first one at once. */
export class Sequence {
  private last: Promise<void> | undefined = undefined;

  /**
   * @param task must not fail
   * @returns a promise for its end
   */
  add(task: () => Promise<void>): Promise<void> {
    const done = this.last ? this.last.then(task) : task();
    this.last = done;
    void done.then(() => {
      if (this.last === done) this.last = undefined;
    });
    return done;
  }
}
