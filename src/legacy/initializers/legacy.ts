import { Initializer } from "../../boot/initializer";
import { loadLegacyModules } from "../adapter";
import { installLegacyApi } from "../apiFacade";
import { addLegacyStats } from "../actions";

// when this file is loaded, before those of the project are
loadLegacyModules();

/** The functions of version 3 on `api`, from before the initializers of the project run. */
export class Legacy extends Initializer {
  constructor() {
    super();
    this.name = "legacy";
    this.loadPriority = 700;
  }

  override async initialize() {
    installLegacyApi();
    addLegacyStats();
  }
}
