/** Bypasses winston's streams, for loggers that only use our own transports. */
import type * as winston from "winston";
import type Transport = require("winston-transport");
import {
  isOwnTransport,
  lineMakerOf,
  type BufferedTransport,
} from "./loggerTools";
import { withFields } from "../utils/withFields";

/** winston's well-known symbols (https://github.com/winstonjs/triple-beam). */
const LEVEL = Symbol.for("level");
const SPLAT = Symbol.for("splat");

type Info = winston.Logform.TransformableInfo;

interface DirectLine {
  level: string;
  message: string;
  /** Nothing in the message and the data has to be escaped or cut (default false). */
  isEscaped?: boolean;
}

/**
 * The same as `logger.log(level, message, data)`, without winston's two streams, which cost more than the line
 * itself (bench/http.ts).
 * @returns false if the logger has additions that only winston can handle; then nothing is written
 */
export function writeDirectly(
  logger: winston.Logger,
  { level, message, isEscaped = false }: DirectLine,
  data: object,
): boolean {
  if (!isPlain(logger) || message.includes("%")) return false;
  if ((data as { message?: unknown }).message) return false; // winston joins the two texts

  const { format, transports } = logger;
  const toLine = lineMakerOf(format);
  if (toLine) {
    const line = toLine(withFields(data, { level, message }), isEscaped);
    for (const transport of transports as BufferedTransport[])
      transport.take(line);
    return true;
  }
  const info: Info = Object.assign({}, data, { level, message });
  info[LEVEL] = level;
  info[SPLAT] = [data];
  const formatted = format.transform(info, format.options);
  if (!formatted || typeof formatted !== "object") return true; // the format decided to drop it
  for (const transport of transports as Transport[])
    transport.log!(formatted, noop);
  return true;
}

/** Its methods are not replaced, it has no listeners, and only our own transports and settings. */
function isPlain(logger: winston.Logger): boolean {
  if (logger.silent || logger.defaultMeta || Object.hasOwn(logger, "log"))
    return false;
  const transports = logger.transports as Transport[];
  for (const transport of transports) {
    if (!isOwnTransport(transport) || Object.hasOwn(transport, "log"))
      return false;
    if (transport.level || transport.format || transport.silent) return false;
  }
  // each transport is one listener
  return (
    transports.length > 0 &&
    logger.listenerCount("data") === transports.length &&
    logger.writableLength === 0
  );
}

function noop(): void {}
