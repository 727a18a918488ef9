/** One line on the terminal that says what a long command is at; it leaves nothing behind. */

/** Back to the start of the line, and clear it. */
const ERASE = "\r\x1b[K";

/** Width of a terminal that does not tell its own, in columns. */
const DEFAULT_COLUMNS = 80;

/** Only people at a terminal that can erase a line see progress, unless they asked for plain output. */
export function showsProgress(
  isTerminal: boolean,
  { NO_COLOR, TERM }: NodeJS.ProcessEnv,
): boolean {
  return isTerminal && !NO_COLOR && TERM !== "dumb";
}

export class Progress {
  private readonly isOn: boolean;
  private readonly write = process.stderr.write.bind(process.stderr);
  private shown = "";
  private release?: () => void;

  /** @param quiet show nothing, as when the output is for a program (`--json`) */
  constructor(quiet = false) {
    this.isOn = !quiet && showsProgress(process.stderr.isTTY, process.env);
  }

  /** Replace the line. */
  show(text: string): void {
    if (!this.isOn) return;
    this.release ??= this.watchOutput();
    this.shown = text;
    this.draw();
  }

  /** Take the line away; a later `show` brings it back. */
  done(): void {
    if (!this.release) return;
    this.release();
    this.release = undefined;
    this.write(ERASE);
  }

  /** The cursor goes back to the start, so that lines of other processes begin there. */
  private draw(): void {
    const columns = process.stderr.columns || DEFAULT_COLUMNS;
    // a line that wraps, or moves the cursor, could not be erased
    const text = this.shown.replace(/\p{Cc}/gu, "?").slice(0, columns - 1);
    this.write(`${ERASE}${text}\r`);
  }

  /** What this process prints meanwhile takes the place of the line, which goes on below it. */
  private watchOutput(): () => void {
    const streams = [process.stdout, process.stderr].filter((s) => s.isTTY);
    const releases = streams.map((stream) => {
      const original = stream.write.bind(stream);
      stream.write = ((...args: Parameters<typeof original>) => {
        this.write(ERASE);
        const result = original(...args);
        if (String(args[0]).endsWith("\n")) this.draw();
        return result;
      }) as typeof original;
      return () => (stream.write = original);
    });
    return () => releases.forEach((release) => release());
  }
}

/** Do work that tells what it is at; the line is gone when it ends, also by an error. */
export async function withProgress<T>(
  work: (progress: Progress) => T | Promise<T>,
  quiet = false,
): Promise<T> {
  const progress = new Progress(quiet);
  try {
    return await work(progress);
  } finally {
    progress.done();
  }
}
