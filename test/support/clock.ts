/** The clock of the process, which a test moves forward. It is never set back: intervals that were measured would be negative. */

const realNow = performance.now.bind(performance);
let passed = 0;

/** Let time pass, in ms; timers do not notice. */
export function pass(ms: number): void {
  passed += ms;
  performance.now = () => realNow() + passed;
}
