/** When cron expressions are due, with a clock that the test moves. */
import { nextCronTime } from "../../src/task/cronTimes";

const MINUTE_MS = 60_000;

/** All times from `begin` (excluded) to `end`, each planned when the one before has run. */
function timesOf(
  cron: string,
  timeZone: string | undefined,
  begin: string,
  end: string,
): string[] {
  const times: string[] = [];
  let now = Date.parse(begin);
  for (;;) {
    const next = nextCronTime(cron, timeZone, now)!;
    expect(next).toBeGreaterThan(now);
    if (next > Date.parse(end)) return times;
    times.push(new Date(next).toISOString().slice(0, 16));
    now = next;
  }
}

interface Shift {
  zone: string;
  cron: string;
  /** The instant at which the clock is put forward or back. */
  at: string;
  /** The time of the day of `cron` on the day before, that day and the day after. */
  due: string[];
}

// a fixed time within the hour (or half hour) that is skipped
const gaps: Shift[] = [
  {
    zone: "Europe/Berlin",
    cron: "30 2 * * *",
    at: "2026-03-29T01:00Z",
    due: ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
  },
  {
    zone: "America/New_York",
    cron: "30 2 * * *",
    at: "2026-03-08T07:00Z",
    due: ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"],
  },
  {
    zone: "Australia/Sydney",
    cron: "30 2 * * *",
    at: "2026-10-03T16:00Z",
    due: ["2026-10-02T16:30", "2026-10-03T16:00", "2026-10-04T15:30"],
  },
  {
    zone: "Australia/Lord_Howe",
    cron: "15 2 * * *",
    at: "2026-10-03T15:30Z",
    due: ["2026-10-02T15:45", "2026-10-03T15:30", "2026-10-04T15:15"],
  },
  {
    zone: "America/Santiago",
    cron: "30 0 * * *",
    at: "2026-09-06T04:00Z",
    due: ["2026-09-05T04:30", "2026-09-06T04:00", "2026-09-07T03:30"],
  },
  {
    zone: "Pacific/Auckland",
    cron: "30 2 * * *",
    at: "2026-09-26T14:00Z",
    due: ["2026-09-25T14:30", "2026-09-26T14:00", "2026-09-27T13:30"],
  },
];

// a fixed time within the hour (or half hour) that comes twice
const repeats: Shift[] = [
  {
    zone: "Europe/Berlin",
    cron: "30 2 * * *",
    at: "2026-10-25T01:00Z",
    due: ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"],
  },
  {
    zone: "America/New_York",
    cron: "30 1 * * *",
    at: "2026-11-01T06:00Z",
    due: ["2026-10-31T05:30", "2026-11-01T05:30", "2026-11-02T06:30"],
  },
  {
    zone: "Australia/Sydney",
    cron: "30 2 * * *",
    at: "2026-04-04T16:00Z",
    due: ["2026-04-03T15:30", "2026-04-04T15:30", "2026-04-05T16:30"],
  },
  {
    zone: "Australia/Lord_Howe",
    cron: "45 1 * * *",
    at: "2026-04-04T15:00Z",
    due: ["2026-04-03T14:45", "2026-04-04T14:45", "2026-04-05T15:15"],
  },
  {
    zone: "America/Santiago",
    cron: "30 23 * * *",
    at: "2026-04-05T03:00Z",
    due: ["2026-04-04T02:30", "2026-04-05T02:30", "2026-04-06T03:30"],
  },
  {
    zone: "Pacific/Auckland",
    cron: "30 2 * * *",
    at: "2026-04-04T14:00Z",
    due: ["2026-04-03T13:30", "2026-04-04T13:30", "2026-04-05T14:30"],
  },
];

describe("times of cron expressions", () => {
  test.each(gaps)(
    "a fixed time that $zone skips is due right after the gap",
    ({ zone, cron, due }) => {
      expect(timesOf(cron, zone, `${due[0]}:59Z`, `${due[2]}Z`)).toEqual(
        due.slice(1),
      );
      expect(nextCronTime(cron, zone, Date.parse(`${due[0]}Z`) - 1)).toBe(
        Date.parse(`${due[0]}Z`),
      );
    },
  );

  test.each(repeats)(
    "a fixed time that $zone repeats is due at its first occurrence only",
    ({ zone, cron, due }) => {
      expect(timesOf(cron, zone, `${due[0]}:59Z`, `${due[2]}Z`)).toEqual(
        due.slice(1),
      );
    },
  );

  test.each([...gaps, ...repeats])(
    "a fixed hour in $zone, planned at any minute around $at, is due once that day",
    ({ zone, cron, at, due }) => {
      const times = due.map((time) => Date.parse(`${time}Z`));
      for (let i = -180; i <= 180; i++) {
        const now = Date.parse(at) + i * MINUTE_MS;
        expect(nextCronTime(cron, zone, now)).toBe(
          times.find((time) => time > now),
        );
      }
    },
  );

  test.each([...gaps, ...repeats])(
    "a wildcard hour in $zone goes on by elapsed time over $at",
    ({ zone, at }) => {
      let now = Date.parse(at) - 180 * MINUTE_MS;
      for (let i = 0; i < 72; i++) {
        const next = nextCronTime("*/5 * * * *", zone, now)!;
        expect(next - now).toBe(5 * MINUTE_MS);
        now = next;
      }
    },
  );

  test("a step of hours counts as a wildcard, lists and ranges as fixed", () => {
    const berlin = (cron: string) =>
      timesOf(cron, "Europe/Berlin", "2026-10-24T23:30Z", "2026-10-25T03:00Z");
    const twice = ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T03:00"];
    expect(berlin("0 */2 * * *")).toEqual(twice);
    expect(berlin("0 0,2,4 * * *")).toEqual([twice[0], twice[2]]);
    expect(berlin("0 2-4/2 * * *")).toEqual([twice[0], twice[2]]);
    expect(berlin("@hourly")).toHaveLength(4);
    expect(berlin("0 0 */2 * * *")).toEqual(twice);
  });

  test("several times in a gap are due once", () => {
    expect(
      timesOf(
        "*/10 2,3 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00Z",
        "2026-03-29T01:25Z",
      ),
    ).toEqual(["2026-03-29T01:00", "2026-03-29T01:10", "2026-03-29T01:20"]);
  });

  test("a time that is a moment away is the next one, and one that is now is over", () => {
    const due = Date.parse("2026-06-01T03:00Z");
    expect(nextCronTime("0 3 * * *", "UTC", due - 1)).toBe(due);
    expect(nextCronTime("0 3 * * *", "UTC", due - 599)).toBe(due);
    expect(nextCronTime("0 3 * * *", "UTC", due)).toBe(due + 1440 * MINUTE_MS);
  });

  test("times that are years away are found in the right offset", () => {
    const now = Date.parse("2026-11-01T12:00Z");
    const zone = "Europe/Berlin";
    expect(nextCronTime("0 * 1 7 *", zone, now)).toBe(
      Date.parse("2027-06-30T22:00Z"),
    );
    expect(nextCronTime("0 * 29 2 *", zone, now)).toBe(
      Date.parse("2028-02-28T23:00Z"),
    );
    expect(nextCronTime("0 12 1 7 *", zone, now)).toBe(
      Date.parse("2027-07-01T10:00Z"),
    );
  });

  test("without a zone that of the process counts", () => {
    const noon = new Date(2027, 6, 1, 12).getTime();
    const now = Date.parse("2026-11-01T12:00Z");
    expect(nextCronTime("0 12 1 7 *", undefined, now)).toBe(noon);
  });

  test("a day that never comes, and a year that is over, have no next time", () => {
    const now = Date.parse("2026-11-01T12:00Z");
    for (const cron of ["0 0 30 2 *", "0 * 30 2 *", "0 0 0 1 1 * 2020"])
      expect(nextCronTime(cron, "Europe/Berlin", now)).toBeUndefined();
  });

  test("what is not valid is an error", () => {
    expect(() => nextCronTime("61 * * * *", undefined, 0)).toThrow();
    expect(() => nextCronTime("* * * * *", "Mars/Olympus", 0)).toThrow();
  });
});
