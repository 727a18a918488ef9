import { api } from "../src/api";
import { Initializer } from "../src/boot/initializer";
import { createExceptionHandlers } from "../src/log/exceptions";

/** Error reporting comes first, so that what goes wrong later is reported. */
export class ExceptionsInitializer extends Initializer {
  constructor() {
    super();
    this.name = "exceptions";
    this.loadPriority = 1;
  }

  override async initialize() {
    api.exceptionHandlers = createExceptionHandlers();
  }
}
