/** Tasks without a class: the params of `run` are typed by the inputs. */
import type { DeclaredInputs, ParamsOfInputs } from "../input/types";
import { Task, type TaskContext, type TaskWorker } from "./task";

/** Every property of a task; only the name is required. */
export type TaskDefinition<
  Name extends string,
  I extends DeclaredInputs,
  R,
> = Partial<Omit<Task, "name" | "inputs" | "run" | "validate">> & {
  /** The name by which it is enqueued. */
  name: Name;
  /** A Standard Schema, or a table of inputs; checked when a job is enqueued. */
  inputs?: I;
  run: (
    params: ParamsOfInputs<I>,
    worker: TaskWorker,
    context: TaskContext,
  ) => R | Promise<R>;
};

/** A task as `defineTask` makes it. */
export interface DefinedTask<
  Name extends string = string,
  I extends DeclaredInputs = any,
  R = any,
> extends Task {
  name: Name;
  inputs: I;
  run(params: any, worker: any, context?: any): Promise<R>;
}

/** A file below `src/tasks` exports the result, as it exports classes. */
export function defineTask<
  const Name extends string,
  const I extends DeclaredInputs = {}, // eslint-disable-line @typescript-eslint/no-empty-object-type -- no inputs
  R = unknown,
>(definition: TaskDefinition<Name, I, R>): DefinedTask<Name, I, R> {
  return new FunctionTask(definition) as never;
}

class FunctionTask extends Task {
  private readonly body: (...args: unknown[]) => unknown;

  constructor({
    run,
    ...definition
  }: TaskDefinition<string, DeclaredInputs, unknown>) {
    super();
    Object.assign(this, definition);
    this.description ??= this.name;
    this.body = run as (...args: unknown[]) => unknown;
  }

  override async run(...args: unknown[]): Promise<unknown> {
    return this.body(...args);
  }
}
