import { Initializer } from "../src/boot/initializer";
import {
  createTracing,
  startTracing,
  stopTracing,
} from "../src/tracing/tracer";

/** Starts before all that makes spans, and stops after it. */
export class TracingInitializer extends Initializer {
  constructor() {
    super();
    this.name = "tracing";
    this.loadPriority = 92;
    this.startPriority = 30;
    this.stopPriority = 99_999;
  }

  override async initialize() {
    createTracing();
  }

  override async start() {
    startTracing();
  }

  override async stop() {
    stopTracing();
  }
}
