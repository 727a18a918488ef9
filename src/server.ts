#!/usr/bin/env node

/** `npm start`: runs this project until it is told to stop. */
import type * as actionhero from "./index";

function load(): typeof actionhero {
  try {
    return require("./index") as typeof actionhero;
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

async function main() {
  const { Process } = load();
  const app = new Process();
  app.registerProcessSignals((exitCode) => process.exit(exitCode));
  await app.start();
}

main().catch(() => process.exit(1)); // the error has been reported by the process
