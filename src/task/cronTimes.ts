/** Computes due times of cron expressions, including days with clock changes. */
import { Cron } from "croner";

const DAY_MS = 86_400_000;
const HOURLY = "@hourly";

/** The time of a zone minus UTC at an instant, in ms. */
type OffsetAt = (ms: number) => number;
/** Returns the first match after a wall-clock time, both in ms as if they were UTC. */
type NextOnWall = (wallMs: number) => number | undefined;

interface Calendar {
  nextOnWall: NextOnWall;
  offsetAt: OffsetAt;
  fixesHour: boolean;
}

/** By expression and zone, as tasks declare them. */
const calendars = new Map<string, Calendar>();
const MAX_CALENDARS = 1000;

/**
 * The next time of a cron expression. One with a fixed hour is due once on each of its days: a time that the clocks skip is
 * due right after the gap, a repeated time is due the first time. One whose hour field begins with `*` is due whenever
 * the clock on the wall matches, thus by elapsed time.
 * @param timeZone default: that of the process
 * @param afterMs since the epoch; the result is later
 * @returns ms since the epoch; undefined without a future time
 * @throws Error when the expression or the zone is not valid
 */
export function nextCronTime(
  cron: string,
  timeZone: string | undefined,
  afterMs: number,
): number | undefined {
  const { nextOnWall, offsetAt, fixesHour } = calendarOf(cron, timeZone);
  return fixesHour
    ? nextOnceADay(nextOnWall, offsetAt, afterMs)
    : nextByElapsedTime(nextOnWall, offsetAt, afterMs);
}

function calendarOf(cron: string, timeZone: string | undefined): Calendar {
  const key = JSON.stringify([cron, timeZone]);
  const known = calendars.get(key);
  if (known) return known;
  const pattern = new Cron(cron, { paused: true, timezone: "UTC" });
  const calendar: Calendar = {
    nextOnWall: (wallMs) => pattern.nextRun(new Date(wallMs))?.getTime(),
    offsetAt: offsetsOf(timeZone),
    fixesHour: hasFixedHour(cron),
  };
  if (calendars.size >= MAX_CALENDARS) calendars.clear();
  calendars.set(key, calendar);
  return calendar;
}

function hasFixedHour(cron: string): boolean {
  const fields = cron.trim().split(/\s+/);
  if (fields.length === 1) return fields[0]!.toLowerCase() !== HOURLY;
  const hour = fields[fields.length === 5 ? 1 : 2]!;
  return !/^[*?]/.test(hour);
}

/** A match is due at the first instant at which the clock on the wall shows it or a later time. */
function nextOnceADay(
  nextOnWall: NextOnWall,
  offsetAt: OffsetAt,
  afterMs: number,
): number | undefined {
  let from = afterMs + offsetAt(afterMs);
  // the clock was set back within a day: skip the times that it shows a second time
  const shift = findShift(offsetAt, afterMs - DAY_MS, afterMs);
  if (shift !== undefined)
    from = Math.max(from, shift + offsetAt(shift - 1) - 1);
  const wall = nextOnWall(from);
  return wall === undefined ? undefined : firstInstant(offsetAt, wall);
}

function firstInstant(offsetAt: OffsetAt, wall: number): number {
  const before = wall - offsetAt(wall - DAY_MS);
  const shift = findShift(offsetAt, wall - DAY_MS, wall + DAY_MS);
  if (shift === undefined || before < shift) return before;
  return Math.max(wall - offsetAt(shift), shift);
}

/** Between two shifts the clock on the wall is UTC with an offset. */
function nextByElapsedTime(
  nextOnWall: NextOnWall,
  offsetAt: OffsetAt,
  afterMs: number,
): number | undefined {
  let from = afterMs;
  for (;;) {
    const offset = offsetAt(from + 1);
    const wall = nextOnWall(from + offset);
    if (wall === undefined) return undefined;
    const due = wall - offset;
    const shift = findShift(offsetAt, from + 1, from + DAY_MS);
    if (shift !== undefined && due >= shift) from = shift - 1;
    else if (due > from + DAY_MS) from = due - DAY_MS;
    else return due;
  }
}

/** The first instant of another offset, later than `from` and not later than `to`. */
function findShift(
  offsetAt: OffsetAt,
  from: number,
  to: number,
): number | undefined {
  const offset = offsetAt(from);
  if (offsetAt(to) === offset) return undefined;
  let [low, high] = [from, to];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle) === offset) low = middle;
    else high = middle;
  }
  return high;
}

function offsetsOf(timeZone: string | undefined): OffsetAt {
  if (timeZone === undefined)
    return (ms) => -new Date(ms).getTimezoneOffset() * 60_000;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  return (ms) => {
    const shown: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(ms))
      shown[type] = Number(value);
    const { year, month, day, hour, minute, second } = shown;
    const wall = Date.UTC(year!, month! - 1, day, hour, minute, second);
    return wall - Math.floor(ms / 1000) * 1000;
  };
}
