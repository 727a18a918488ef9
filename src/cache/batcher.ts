/**
 * Collects what is asked for in one turn of the event loop, and asks redis for all of it in one command: a command
 * costs this process and redis more than what one of its parts does (bench/cache.ts).
 */
export class Batcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private weight = 0;

  /**
   * @param run asks for all items; its results are in their order
   * @param maxItems how many items one command takes
   * @param maxWeight how heavy they may be together; one that is heavier alone is not divided
   * @param weightOf in the unit of `maxWeight`
   */
  constructor(
    private readonly run: (items: Item[]) => Promise<Result[]>,
    private readonly maxItems: number,
    private readonly maxWeight: number,
    private readonly weightOf: (item: Item) => number,
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) process.nextTick(flush, this);
      this.waiting.push({ item, resolve, reject });
      this.weight += this.weightOf(item);
      const isFull =
        this.waiting.length >= this.maxItems || this.weight >= this.maxWeight;
      if (isFull) this.flush();
    });
  }

  flush(): void {
    const batch = this.waiting;
    if (batch.length === 0) return; // was full before the end of the turn
    this.waiting = [];
    this.weight = 0;
    this.run(batch.map(({ item }) => item)).then(
      (results) => batch.forEach(({ resolve }, i) => resolve(results[i]!)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }
}

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

function flush(batcher: Batcher<any, any>): void {
  batcher.flush();
}
