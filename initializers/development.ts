import { Initializer } from "../src/boot/initializer";
import { DevelopmentMode } from "../src/development/development";

export class Development extends Initializer {
  private readonly mode = new DevelopmentMode();

  constructor() {
    super();
    this.name = "developmentMode";
    this.startPriority = 2000;
    this.stopPriority = 1;
  }

  override async start() {
    this.mode.start();
  }

  override async stop() {
    this.mode.stop();
  }
}
