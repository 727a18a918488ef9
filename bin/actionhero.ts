#!/usr/bin/env node
/** The `actionhero` executable. */
import { runProgram } from "../src/cli/runner";

if (require.main === module) void runProgram(process.argv);
