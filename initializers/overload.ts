import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createOverload } from "../src/overload/overload";

export class OverloadInitializer extends Initializer {
  constructor() {
    super();
    this.name = "overload";
    this.loadPriority = 95;
    this.startPriority = Number.MAX_SAFE_INTEGER;
    this.stopPriority = 99_998;
  }

  override async initialize() {
    api.overload = createOverload();
  }

  override async start() {
    api.overload?.watch();
  }

  override async stop() {
    api.overload?.stop();
  }
}
