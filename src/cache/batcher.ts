/**
 * Collects the requests of one turn of the event loop into one redis command, because a command costs this process
 * and redis more than one of its items (bench/cache.ts).
 */
export class Batcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private weight = 0;

  /**
   * @param maxItems maximum number of items per command
   * @param maxWeight maximum total weight per command; a single heavier item is not divided
   */
  constructor(
    private readonly commands: Commands<Item, Result>,
    private readonly maxItems: number,
    private readonly maxWeight: number,
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) process.nextTick(flush, this);
      this.waiting.push({ item, resolve, reject });
      this.weight += this.commands.weightOf(item);
      const isFull =
        this.waiting.length >= this.maxItems || this.weight >= this.maxWeight;
      if (isFull) this.flush();
    });
  }

  flush(): void {
    const batch = this.waiting;
    if (batch.length === 0) return; // the batch was full before the end of the turn
    this.waiting = [];
    this.weight = 0;
    if (batch.length === 1) {
      const { item, resolve, reject } = batch[0]!;
      this.commands.one(item).then(resolve, reject);
      return;
    }
    this.commands.many(batch.map(({ item }) => item)).then(
      (results) => batch.forEach(({ resolve }, i) => resolve(results[i]!)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
  }
}

/** Requests a batch of items. */
interface Commands<Item, Result> {
  one: (item: Item) => Promise<Result>;
  /** Its results are in the order of the items. */
  many: (items: Item[]) => Promise<Result[]>;
  /** In the unit of `maxWeight`. */
  weightOf: (item: Item) => number;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

function flush(batcher: Batcher<any, any>): void {
  batcher.flush();
}
