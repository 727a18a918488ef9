import * as path from "path";
import { complete } from "../../src/cli/completion";
import { inspectProject } from "../../src/cli/project";
import { buildProgram, takesInputsOf } from "../../src/cli/runner";
import { runOk } from "../support/runCli";
import { RUN_TYPESCRIPT_TEXT } from "../support/sources";
import { repositoryRoot } from "../support/temporaryProject";

const program = buildProgram(inspectProject());
const load = jest.fn(() =>
  Promise.resolve({
    names: (kind: string) =>
      kind === "task" ? ["mail:send", "sweep"] : ["user:show", "user:list"],
    flags: (_kind: string, name: string) =>
      name === "sweep" ? ["--since"] : ["--id", "--detail"],
  }),
);

test.each([
  ["actionhero action", ["actions-list", "action-run"]],
  ["actionhero nothing", []],
  ["actionhero nothing ", []],
  ["actionhero routes-list --j", ["--json"]],
  ["actionhero action-run ", ["user:show", "user:list"]],
  ["actionhero action run user:s", ["user:show"]],
  [
    "actionhero action-run user:show --",
    expect.arrayContaining(["--params", "--id"]),
  ],
  ["actionhero action-run user:show --id 5 --d", ["--detail"]],
  ["actionhero task-enqueue --name=m", ["--name=mail:send"]],
  ["actionhero task-enqueue -n s", ["sweep"]],
  ["actionhero task-enqueue --name sweep --s", ["--since"]],
  ["actionhero task-enqueue s", ["sweep"]],
  ["actionhero task-enqueue --n", ["--name"]],
  ["actionhero task-enqueue sweep --s", ["--since"]],
])("%j becomes %j", async (line, expected: unknown) => {
  expect((await complete(line, program, takesInputsOf, load)).sort()).toEqual(
    Array.isArray(expected) ? [...(expected as string[])].sort() : expected,
  );
});

test("commands are completed without loading the project", async () => {
  load.mockClear();
  await complete("actionhero ta", program, takesInputsOf, load);
  expect(load).not.toHaveBeenCalled();
});

test("the script for bash leaves out what bash takes for earlier words", async () => {
  const entry = path.join(repositoryRoot, "bin", "actionhero.ts");
  const printed = await runOk(
    "bash",
    [
      "-c",
      `actionhero() { node ${RUN_TYPESCRIPT_TEXT} "${entry}" "$@"; }
      source <(actionhero completion bash)
      COMP_LINE="actionhero task-enqueue --name=runA" COMP_POINT=35
      _actionhero
      printf "%s\\n" "\${COMPREPLY[@]}"`,
    ],
    { cwd: repositoryRoot },
  );
  expect(printed).toBe("runAction\n");
});
