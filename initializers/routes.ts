import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createRoutesApi } from "../src/route/registry";
import { addOpenApi } from "../src/server/web/openapi";

export class Routes extends Initializer {
  constructor() {
    super();
    this.name = "routes";
    this.loadPriority = 500;
  }

  override async initialize() {
    addOpenApi();
    api.routes = createRoutesApi();
    api.routes.loadRoutes();
  }
}
