/** The types of calls of tasks by name, from what `actionhero types` writes. */
import type {
  IfKnown,
  IsOptional,
  MemberOf,
  NameIn,
} from "../action/actionTypes";
import type { TaskInputs } from "./task";

/** Signatures by name; empty unless a project has its `actions.gen.ts`. */
export interface TaskRegistry {} // eslint-disable-line @typescript-eslint/no-empty-object-type -- projects add to it

/** The names of tasks, when `actions.gen.ts` tells them. */
export type TaskName = NameIn<TaskRegistry>;

/** What a job of this task is given. */
export type JobInputs<Name> = IfKnown<
  TaskRegistry,
  MemberOf<TaskRegistry, Name, "params">,
  TaskInputs
>;

/** The inputs, which may be left out when none is required, and what follows them. */
export type JobArguments<Name, More extends unknown[]> = IfKnown<
  TaskRegistry,
  JobInputs<Name> extends infer Inputs
    ? IsOptional<Inputs> extends true
      ? [inputs?: Inputs, ...more: More]
      : [inputs: Inputs, ...more: More]
    : never,
  [inputs?: TaskInputs, ...more: More]
>;
