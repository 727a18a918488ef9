/** What the types of inputs, params and responses are. Checked by `npm run lint`, never run. */
import {
  type ActionProcessor,
  action,
  Action,
  CLI,
  file,
  specHelper,
  task,
  Task,
  type Inputs,
  type ParamsFrom,
  type UploadedFile,
  withFiles,
} from "../../src/index";
import * as v from "valibot";
import { z } from "zod";
import type { Equal, Expect } from "./expect";

/** The ways in which v29 projects write inputs. */
class Typed extends Action {
  override name = "typed";
  override description = "inputs as class fields";
  override inputs = {
    text: { required: true as const },
    maybe: {},
    count: { required: true as const, formatter: (v: string) => Number(v) },
    list: { formatter: async (v: string) => v.split(",") },
    flag: { required: false, default: true, formatter: Boolean },
    named: { formatter: "api.mine.formatter" },
    where: {
      required: true as const,
      schema: {
        city: { required: true as const },
        zip: { formatter: (v: string) => parseInt(v) },
      },
    },
  };

  async run({ params }: { params: ParamsFrom<Typed> }) {
    return { count: params.count, where: params.where.city };
  }
}

class AsConst extends Action {
  override name = "asConst";
  override description = "inputs as const";
  override inputs = {
    id: { required: true, formatter: (v: unknown) => Number(v) },
    note: { required: false },
  } as const;

  override async run(data: ActionProcessor<AsConst>) {
    const id: number = data.params.id;
    const note: string | undefined = data.params.note;
    const extra: unknown = data.params.anythingElse;
    return { id, note, extra, who: data.connection.id };
  }
}

class Uploads extends Action {
  override name = "uploads";
  override description = "declared files";
  override inputs = {
    picture: file({ maxSize: 1024, types: ["image/*"], required: true }),
    maybe: file(),
    limited: file({ maxSize: 1024 }),
    album: file({ maxFiles: 3 }),
    albums: file({ maxFiles: 3, required: true }),
    resized: { ...file(), formatter: (value: UploadedFile) => value.size },
  };

  override async run({ params }: ActionProcessor<Uploads>) {
    return { path: params.picture.filepath, first: params.albums[0]?.size };
  }
}

class Untyped extends Action {
  constructor() {
    super();
    this.name = "untyped";
    this.description = "as in the generated template";
    this.inputs = { key: { required: true, validator: () => true } };
  }

  override async run({
    params,
    response,
    connection,
  }: Partial<ActionProcessor<any>>) {
    response!.key = params!.key;
    return connection!.id === "" ? null : undefined;
  }
}

class Nothing extends Action {
  override name = "nothing";
  override description = "answers nothing";
  override async run() {}
}

class Sync extends Action {
  override name = "sync";
  override description = "is not async";
  override run() {
    return { now: 1 };
  }
}

class Variadic extends CLI {
  override name = "variadic";
  override description = "takes many";
  override inputs = {
    names: { required: true as const, variadic: true as const },
    counts: { variadic: true as const, formatter: (v: string) => Number(v) },
  };
  async run({ params }: { params: ParamsFrom<Variadic> }) {
    const names: string[] = params.names;
    const counts: number[] | undefined = params.counts;
    return names.length > 0 && counts !== undefined;
  }
}

class Work extends Task {
  override name = "work";
  override description = "a task";
  override frequency = 0;
  override queue = "default";
  override inputs = { id: { required: true as const, formatter: Number } };
  override async run(params: ParamsFrom<Work>) {
    const id: number = params.id;
    return id;
  }
}

/** Inputs that are schemas. */
class Schemed extends Action {
  override name = "schemed";
  override description = "a schema as inputs";
  override inputs = z.object({
    id: z.int(),
    on: z.boolean().default(true),
    at: z.coerce.date().optional(),
  });

  override async run({ params }: ActionProcessor<Schemed>) {
    return { next: params.id + 1, on: params.on };
  }
}

class SchemedWithFiles extends Action {
  override name = "schemedWithFiles";
  override description = "a schema, and files";
  override inputs = withFiles(v.object({ title: v.string() }), {
    picture: file({ required: true }),
    more: file({ maxFiles: 2 }),
  });
  override async run() {}
}

class SchemedParam extends Action {
  override name = "schemedParam";
  override description = "a schema within a table";
  override inputs = {
    where: { required: true as const, schema: z.object({ zip: z.number() }) },
  };
  override async run() {}
}

export type Schemas = [
  Expect<Equal<ParamsFrom<Schemed>["id"], number>>,
  Expect<Equal<ParamsFrom<Schemed>["on"], boolean>>,
  Expect<Equal<ParamsFrom<Schemed>["at"], Date | undefined>>,
  Expect<Equal<ParamsFrom<SchemedWithFiles>["title"], string>>,
  Expect<Equal<ParamsFrom<SchemedWithFiles>["picture"], UploadedFile>>,
  Expect<
    Equal<ParamsFrom<SchemedWithFiles>["more"], UploadedFile[] | undefined>
  >,
  Expect<Equal<ParamsFrom<SchemedParam>["where"], { zip: number }>>,
  Expect<Equal<ReturnType<typeof anyAction>, any>>,
];

/** Code of version 29 reads the inputs of all actions. */
export function anyAction(action: Action) {
  return Object.keys(action.inputs).map((name) => action.inputs[name])[0];
}

type TypedParams = ParamsFrom<Typed>;

export type Params = [
  Expect<Equal<TypedParams["text"], string>>,
  Expect<Equal<TypedParams["maybe"], string | undefined>>,
  Expect<Equal<TypedParams["count"], number>>,
  Expect<Equal<TypedParams["list"], string[] | undefined>>,
  Expect<Equal<TypedParams["flag"], boolean | undefined>>,
  Expect<Equal<TypedParams["named"], string | undefined>>,
  Expect<Equal<TypedParams["where"]["city"], string>>,
  Expect<Equal<TypedParams["where"]["zip"], number | undefined>>,
  Expect<Equal<ParamsFrom<AsConst>["id"], number>>,
  Expect<Equal<ParamsFrom<AsConst>["note"], string | undefined>>,
  Expect<Equal<ParamsFrom<Uploads>["picture"], UploadedFile>>,
  Expect<Equal<ParamsFrom<Uploads>["maybe"], UploadedFile | undefined>>,
  Expect<Equal<ParamsFrom<Uploads>["limited"], UploadedFile | undefined>>,
  Expect<Equal<ParamsFrom<Uploads>["album"], UploadedFile[] | undefined>>,
  Expect<Equal<ParamsFrom<Uploads>["albums"], UploadedFile[]>>,
  Expect<Equal<ParamsFrom<Uploads>["resized"], number | undefined>>,
];

/** Typed by the class that is named, anything without one. */
export async function responses() {
  const typed = await action.run<Typed>("typed", 1, { text: "x" });
  const sync = await action.run<Sync>("sync");
  const open = await action.run("anything");
  const helped = await specHelper.runAction<AsConst>("asConst", { id: 1 });
  const nothing = await specHelper.runAction<Nothing>("nothing");
  const free = await specHelper.runAction("anything");
  const result = await specHelper.runTask<number>("work", { id: 1 });

  const checks: [
    Expect<Equal<typeof typed.count, number>>,
    Expect<Equal<typeof typed.where, string>>,
    Expect<Equal<typeof sync.now, number>>,
    Expect<Equal<typeof open, any>>,
    Expect<Equal<typeof helped.id, number>>,
    Expect<Equal<typeof helped.error, any>>,
    Expect<Equal<typeof helped.messageId, string | undefined>>,
    Expect<Equal<typeof result, number>>,
  ] = [true, true, true, true, true, true, true, true];
  const received: unknown =
    helped.requesterInformation?.receivedParams.anything;
  const name: string | undefined = helped.serverInformation?.serverName;
  return [
    checks,
    received,
    name,
    nothing.error,
    free.anything,
    typed,
    sync,
    open,
    result,
  ];
}

/** Helpers of tests, whose names and classes are known to their callers only. */
export async function generic<A extends Action, Name extends string>(
  name: Name,
  params: Record<string, unknown>,
  inputs?: { [key: string]: any },
) {
  const version: string | number = 1;
  const ran = await action.run<A>(name, version, params, { session: {} });
  const helped = await specHelper.runAction<A>(name, params);
  const connection = await specHelper.buildConnection();
  await specHelper.runAction<A>(name, connection);
  await task.enqueue(name, inputs, "default");
  await task.enqueueIn(1, name, inputs, "default", true);
  await task.enqueueMany(name, [inputs, undefined]);
  return [ran, helped.error];
}

/** Literals of the wrong shape are refused. */
export function refused() {
  const inputs: Inputs = { a: { required: true } };
  // @ts-expect-error required is not a text
  const wrong: Inputs = { a: { required: "yes" } };
  // @ts-expect-error a required param is missing
  const params: ParamsFrom<Typed> = { text: "x" };
  return [inputs, wrong, params, Untyped, Work, Variadic];
}
