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

type ResponseOf<A> = ActionSignature<A>["response"];

export const outputs: [
  Expect<Equal<ResponseOf<typeof Pruned>, { user: { id: number } }>>,
  Expect<Equal<ResponseOf<typeof Written>, { [key: string]: any }>>,
  Expect<Equal<ResponseOf<typeof Example>, { total: number }>>,
] = [true, true, true];

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
