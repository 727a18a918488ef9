import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createHealthApi, startHealth, stopHealth } from "../src/health/health";

/** Starts first and stops last: a supervisor hears of the boot and of the stop, too. The process opens `web.healthPort`. */
export class HealthInitializer extends Initializer {
  constructor() {
    super();
    this.name = "health";
    this.loadPriority = 90;
    this.startPriority = 10;
    this.stopPriority = 99_999;
  }

  override async initialize() {
    api.health = createHealthApi();
  }

  override async start() {
    startHealth();
  }

  override async stop() {
    stopHealth();
  }
}
