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

/** The names of tasks, if `actions.gen.ts` declares them. */
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

/** What follows the name in `task.run`: any inputs when the type of the result is named. */
export type RunTaskArguments<Result, Name> = [Result] extends [void]
  ? JobArguments<Name, []>
  : [inputs?: TaskInputs];

/**
 * The result of a run: the type argument, or the return type of `run` if it is a task class; otherwise the type in the
 * registry.
 */
export type TaskResult<Named, Name> = [Named] extends [void]
  ? IfKnown<TaskRegistry, MemberOf<TaskRegistry, Name, "result">, any>
  : ResultOf<Named>;

type ResultOf<T> = T extends { run(...args: any[]): infer Result }
  ? Awaited<Result>
  : T;
