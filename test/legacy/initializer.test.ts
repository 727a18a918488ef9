/** An initializer of version 3 that is long in calling next. */
import { fromLegacyInitializer } from "../../src/legacy";
import { LogLines } from "../support/logLines";

test("an initializer that has not called next is named in the log, until it does", async () => {
  const lines = new LogLines();
  jest.useFakeTimers();
  try {
    let next!: () => void;
    const Slow = fromLegacyInitializer("slow", (_api, done) => (next = done));
    const initialized = new Slow().initialize!();
    jest.advanceTimersByTime(25_000);
    expect(lines.at("warning", /initializer slow has not called/)).toHaveLength(
      2,
    );
    next();
    await initialized;
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
    lines.stop();
  }
});
