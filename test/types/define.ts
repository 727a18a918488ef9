/** What `defineAction`, `defineTask` and `defineMiddleware` infer. Checked by `npm run lint`, never run. */
import { z } from "zod";
import {
  Action,
  action,
  defineAction,
  defineMiddleware,
  defineTask,
  file,
  specHelper,
  type Connection,
  type ActionProcessor,
  type ActionSignature,
  type UploadedFile,
} from "../../src/index";
import type { Equal, Expect } from "./expect";

interface User {
  id: number;
  name: string;
}

const signedIn = defineMiddleware({
  name: "signed in",
  preProcessor: async ({ connection }) => {
    const user: User = { id: 1, name: connection.id };
    return { user };
  },
});

const timed = defineMiddleware({
  name: "timed",
  preProcessor: () => ({ startedAt: Date.now() }),
  postProcessor: ({ session, response }) => {
    response.took = Date.now() - (session.startedAt as number);
  },
});

const silent = defineMiddleware({ name: "silent", preProcessor: () => {} });

export const bySchema = defineAction({
  name: "user:show",
  inputs: z.object({ id: z.int(), full: z.boolean().default(false) }),
  output: z.object({ id: z.number(), at: z.string().optional() }),
  middleware: [signedIn, timed, silent, "by name"],
  route: ["get /users/:id", "head /users/:id"],
  run: ({ params, session, connection, response }) => {
    const checks: [
      Expect<Equal<typeof params.id, number>>,
      Expect<Equal<typeof params.full, boolean>>,
      Expect<Equal<typeof session.user, User>>,
      Expect<Equal<typeof session.startedAt, number>>,
      Expect<Equal<typeof connection, Connection>>,
    ] = [true, true, true, true, true];
    response.checks = [checks, session, connection].length;
    // @ts-expect-error the schema has no such param
    void params.other;
    return { id: params.id };
  },
});

export const byTable = defineAction({
  name: "table",
  inputs: {
    id: { required: true, formatter: (id: unknown) => Number(id) },
    tags: {
      formatter: [(tags: string) => tags.split(","), "api.sort"],
      validator: [(tags: string[]) => tags.length > 0],
    },
    note: {},
    picture: file({ required: true }),
  },
  run: async ({ params }) => {
    const id: number = params.id;
    const note: string | undefined = params.note;
    const picture: UploadedFile = params.picture;
    return { id, note, bytes: picture.size };
  },
});

export const without = defineAction({
  name: "without",
  run: async ({ session }) => {
    const anything: unknown = session.anything;
    return { anything: anything === undefined };
  },
});

export const nothing = defineAction({ name: "nothing", run: () => {} });

// the answer does not fit the schema of the output
export const wrong = defineAction({
  name: "wrong",
  output: z.object({ id: z.number() }),
  // @ts-expect-error the id is no text
  run: () => ({ id: "1" }),
});

// a class is typed by its output, too: what that does not name is not sent
export class Pruned extends Action {
  override name = "pruned";
  override description = "pruned";
  output = z.object({ user: z.object({ id: z.number() }) });
  override async run() {
    return { user: { id: 1, name: "Ada" }, total: 5 };
  }
}

// what is written to `data.response` is not checked by the output
export class Written extends Action {
  override name = "written";
  override description = "written";
  output = z.object({ id: z.number() });
  override async run({ response }: ActionProcessor<any>) {
    response!.other = 1;
  }
}

// an output that is not a schema, as actions of version 29 may have
export class Example extends Action {
  override name = "example";
  override description = "example";
  output = { id: 5 };
  override async run() {
    return { total: 5 };
  }
}

const annotated = z.object({ n: z.number() });

export class Annotated extends Action {
  override name = "annotated";
  override description = "annotated";
  output = annotated;
  override async run(): Promise<z.input<typeof annotated>> {
    // @ts-expect-error a text is no number
    return { n: "5" };
  }
}

type ResponseOf<S extends { response: unknown }> = S["response"];

export const outputs: [
  Expect<
    Equal<ResponseOf<ActionSignature<typeof Pruned>>, { user: { id: number } }>
  >,
  Expect<
    Equal<ResponseOf<ActionSignature<typeof Written>>, { [key: string]: any }>
  >,
  Expect<Equal<ResponseOf<ActionSignature<typeof Example>>, { total: number }>>,
] = [true, true, true];

// `actions.gen.ts` compares what a class returns with its output
export class Unfit extends Action {
  override name = "unfit";
  override description = "unfit";
  output = z.object({ users: z.array(z.object({ id: z.number() })) });
  override async run() {
    return { users: [{ id: "1" }] };
  }
}

export class Lacking extends Action {
  override name = "lacking";
  override description = "lacking";
  output = z.object({ id: z.number(), name: z.string() });
  override run() {
    return { id: 1 };
  }
}

// literals are wider in what `run` returns, and undefined is nothing
export class Fitting extends Action {
  override name = "fitting";
  override description = "fitting";
  output = z.object({
    status: z.enum(["ok", "bad"]),
    kind: z.literal(true),
    pair: z.tuple([z.number(), z.string()]),
    at: z.date().nullable(),
    note: z.string().default(""),
    tree: z.record(z.string(), z.array(z.literal(1))).optional(),
    open: z.looseObject({ a: z.number() }),
    any: z.any(),
    unknown: z.unknown(),
    either: z.discriminatedUnion("is", [
      z.object({ is: z.literal("a"), a: z.number() }),
      z.object({ is: z.literal("b"), b: z.string() }),
    ]),
  });
  override async run({ params }: ActionProcessor<any>) {
    if (params.nothing) return;
    return {
      status: "ok",
      kind: true,
      pair: [1, "a"],
      at: new Date(),
      tree: { a: [1] },
      open: { a: 1, b: 2 },
      any: 1,
      unknown: 2,
      either: params.a ? { is: "a", a: 1 } : { is: "b", b: "b" },
      more: 1,
    };
  }
}

interface Tree {
  name: string;
  children: Tree[];
}
const tree: z.ZodType<Tree, Tree> = z.object({
  name: z.string(),
  get children() {
    return z.array(tree);
  },
});

export class Recursive extends Action {
  override name = "recursive";
  override description = "recursive";
  output = tree;
  override async run(): Promise<Tree> {
    return { name: "root", children: [] };
  }
}

export type Generated = {
  // @ts-expect-error an id is no text
  unfit: ActionSignature<typeof Unfit>;
  // @ts-expect-error the name is missing
  lacking: ActionSignature<typeof Lacking>;
  fitting: ActionSignature<typeof Fitting>;
  recursive: ActionSignature<typeof Recursive>;
  written: ActionSignature<typeof Written>;
  example: ActionSignature<typeof Example>;
  annotated: ActionSignature<typeof Annotated>;
  defined: ActionSignature<typeof byTable>;
};

export const noRoute = defineAction({
  name: "no route",
  // @ts-expect-error a route has a method and a path
  route: "users",
  run: () => ({}),
});

export const work = defineTask({
  name: "work",
  inputs: z.object({ at: z.coerce.date() }),
  run: ({ at }, worker, { signal, attempt }) => {
    const checks: [
      Expect<Equal<typeof at, Date>>,
      Expect<Equal<typeof attempt, number>>,
      Expect<Equal<typeof signal, AbortSignal>>,
    ] = [true, true, true];
    const context = { signal, attempt };
    return { at: at.getTime(), checks, context, queue: worker.queue };
  },
});

export async function responses() {
  const shown = await action.run<typeof bySchema>("user:show", 1, { id: 1 });
  const table = await specHelper.runAction<typeof byTable>("table", {});
  const checks: [
    Expect<Equal<typeof shown.id, number>>,
    Expect<Equal<typeof shown.at, string | undefined>>,
    Expect<Equal<typeof table.bytes, number>>,
  ] = [true, true, true];
  return [checks, shown, table];
}
