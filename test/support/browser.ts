/** A headless Chromium for tests, where there is one. */
import * as fs from "node:fs";
import { chromium, type Browser } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";

/** Whether this machine has a Chromium. */
export const hasBrowser = fs.existsSync(EXECUTABLE);

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A suite that needs a browser; without one, a single test says that it was left out. */
export function describeInBrowser(title: string, body: () => void): void {
  if (hasBrowser) {
    describe(title, body);
    return;
  }
  test(`${title}: left out, for want of ${EXECUTABLE}`, () => {
    process.stderr.write(`left out: ${title}, for want of ${EXECUTABLE}\n`);
  });
}
