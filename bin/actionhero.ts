#!/usr/bin/env node
/** The `actionhero` executable. */
import { keepCompiledCode, findProjectRoot } from "../src/environment/runtime";
import type * as runner from "../src/cli/runner";

if (require.main === module) {
  keepCompiledCode(findProjectRoot());
  // loaded here, so that its code is kept, too
  const { runProgram } = require("../src/cli/runner") as typeof runner;
  void runProgram(process.argv);
}
