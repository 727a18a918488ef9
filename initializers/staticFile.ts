import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import {
  createStaticFileApi,
  logSearchLocations,
} from "../src/staticFile/staticFile";
import { publicFolders } from "../src/config/discover";

export class StaticFileInitializer extends Initializer {
  constructor() {
    super();
    this.name = "staticFile";
    this.loadPriority = 510;
  }

  override async initialize() {
    api.staticFile = createStaticFileApi(publicFolders());
    logSearchLocations();
  }
}
