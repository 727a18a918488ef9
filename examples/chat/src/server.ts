import { Process } from "actionhero";

const app = new Process();
app.registerProcessSignals((exitCode) => process.exit(exitCode));
void app.start();
