import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { config } from "../src/config/config";
import {
  createSpecHelperApi,
  startTestServer,
} from "../src/testing/testServer";

/** Only tests get it. */
export class SpecHelper extends Initializer {
  constructor() {
    super();
    this.name = "specHelper";
    this.loadPriority = 900;
    this.startPriority = 901;
  }

  override async initialize() {
    if (isTest()) api.specHelper = createSpecHelperApi();
  }

  override async start() {
    if (isTest()) await startTestServer();
  }
}

function isTest(): boolean {
  return config.process?.env === "test";
}
