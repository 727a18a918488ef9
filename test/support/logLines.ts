/** What the server logs, as a test sees it. */
import { Writable } from "node:stream";
import * as winston from "winston";
import { loggers, type ActionheroLogLevel } from "../../src/index";

export class LogLines {
  readonly lines: { level: string; message: string; [key: string]: any }[] = [];
  private readonly logger: winston.Logger;

  /** Begin to listen; `stop` ends it. */
  constructor(level: ActionheroLogLevel = "debug") {
    const stream = new Writable({
      objectMode: true,
      write: (line, _encoding, done) => {
        this.lines.push(line);
        done();
      },
    });
    this.logger = winston.createLogger({
      level,
      levels: winston.config.syslog.levels,
      transports: [new winston.transports.Stream({ stream })],
    });
    loggers.push(this.logger);
  }

  matching(pattern: RegExp): string[] {
    return this.lines
      .map(({ message }) => message)
      .filter((message) => pattern.test(message));
  }

  /** The lines of one level that match. */
  at(level: ActionheroLogLevel, pattern: RegExp): string[] {
    return this.lines
      .filter((line) => line.level === level && pattern.test(line.message))
      .map(({ message }) => message);
  }

  stop(): void {
    loggers.splice(loggers.indexOf(this.logger), 1);
    this.logger.close();
  }
}
