import { Initializer } from "../src/boot/initializer";
import {
  createMetrics,
  startMetrics,
  stopMetrics,
} from "../src/metrics/metrics";

/** Initialized first, so that the initializers of a project can make metrics; stops last. */
export class MetricsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "metrics";
    this.loadPriority = 91;
    this.startPriority = 20;
    this.stopPriority = 99_999;
  }

  override async initialize() {
    createMetrics();
  }

  override async start() {
    await startMetrics();
  }

  override async stop() {
    await stopMetrics();
  }
}
