/** A headless Chromium for tests, where there is one. */
import * as fs from "node:fs";
import { chromium, type Browser } from "playwright-core";
import { leaveOut } from "./leftOut";

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

/** Describe what needs a browser; without one it is left out. */
export function describeInBrowser(title: string, body: () => void): void {
  if (hasBrowser) {
    describe(title, body);
    return;
  }
  leaveOut(title, EXECUTABLE);
}
