/** Suites that need a program or packages which this machine lacks: they are reported as skipped, with the reason. */

/**
 * Report a suite as skipped. The counts reporter accepts no other skipped tests, so the title keeps its beginning.
 * @param missing what the suite needs
 */
export function leaveOut(title: string, missing: string): void {
  const name = `left out: ${title} (needs ${missing})`;
  process.stderr.write(`${name}\n`);
  test.skip(name, () => undefined);
}
