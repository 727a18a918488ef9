import { createParamsApi } from "../src/action/safeParams";
import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";

export class ParamsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "params";
    this.loadPriority = 400;
  }

  override async initialize() {
    api.params = createParamsApi();
  }
}
