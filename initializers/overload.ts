import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createOverload } from "../src/overload/overload";

export class OverloadInitializer extends Initializer {
  constructor() {
    super();
    this.name = "overload";
    this.loadPriority = 95;
    this.stopPriority = 99_998;
  }

  override async initialize() {
    api.overload = createOverload();
  }

  override async stop() {
    api.overload?.stop();
  }
}
