/**
 * One line on the terminal that shows the progress of a long command, and disappears at the end.
 */

/** Moves to the start of the line, and clears it. */
const ERASE = "\r\x1b[K";

/** Width assumed for a terminal that does not report it, in columns. */
const DEFAULT_COLUMNS = 80;

/** Progress is shown only on a terminal that can erase a line, unless plain output was requested. */
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

  /** @param quiet show nothing, for example with `--json` */
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

  /** Erase the line; a later `show` restores it. */
  done(): void {
    if (!this.release) return;
    this.release();
    this.release = undefined;
    this.write(ERASE);
  }

  /** The cursor returns to the start, so that lines of other processes begin there. */
  private draw(): void {
    const columns = process.stderr.columns || DEFAULT_COLUMNS;
    // a line that wraps, or moves the cursor, could not be erased
    const text = this.shown.replace(/\p{Cc}/gu, "?").slice(0, columns - 1);
    this.write(`${ERASE}${text}\r`);
  }

  /** Output of this process replaces the line, which is then shown again below it. */
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

/** Run work with progress; the line is erased at the end, also after an error. */
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
