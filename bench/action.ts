/**
 * What an in-line `action.run` costs: processor time of one call of an action with one validated param, without any
 * network, against actionhero 29. Both run at once and work in turn, in short interleaved slices.
 *
 * Options: --rounds=7 --ms=500 --profile "--servers=actionhero 30, no logs"
 */
import * as path from "node:path";
import { measureCpu, print } from "./support/measure";
import {
  scratchFolder,
  withServersAlone,
  writeProject,
  type ServerSpec,
} from "./support/servers";

const scratch = scratchFolder("action");

function project(name: string, isV29: boolean, isSilent: boolean): ServerSpec {
  return {
    script: "action/inline.js",
    ...writeProject(path.join(scratch, name), { isSilent, isV29 }),
  };
}

const specs = {
  "actionhero 30, no logs": project("ours", false, true),
  "actionhero 30, logs": project("ours-logs", false, false),
  "actionhero 29, no logs": project("v29", true, true),
  "actionhero 29, logs": project("v29-logs", true, false),
};

void withServersAlone(scratch, specs, async (servers) => {
  const results = {
    run: await measureCpu(
      undefined,
      servers,
      () => ({}),
      ({ name }) => ({ timesV29: name.replace(" 30,", " 29,") }),
    ),
  };
  print("action", 1, results, () => "processor time in microseconds per call");
});
