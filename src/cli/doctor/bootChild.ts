/** The child process of the check `boot`: initializes the project, checks it, and sends the findings to its parent. */
import { toError } from "../../errors";
import { explainBootError } from "../../environment/bootErrors";
import { beCommand } from "../../log/sinks";
import type { BootReport } from "./checks";
import { runChecks } from "./check";

async function boot(): Promise<BootReport> {
  beCommand();
  try {
    // loaded here, because loading it is what builds the configuration
    const { Process } =
      require("../../boot/process") as typeof import("../../boot/process");
    await new Process().initialize();
  } catch (error) {
    return { problem: explainBootError(toError(error)) };
  }
  const { bootedChecks } = require("./booted") as typeof import("./booted");
  const findings = await runChecks(bootedChecks, undefined, () => undefined);
  return { findings };
}

process.once("disconnect", () => process.exit(1)); // the parent has exited
void boot().then((report) => process.send!(report, () => process.exit(0)));
