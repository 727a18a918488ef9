/** The actions that the contract asks for. They wait and count under the eyes of the tests, without a clock. */
import { api } from "../../src/index";
import { until } from "../support/until";

interface Held {
  release: () => void;
}

/** The runs of `contractWait` that have not been released. */
const held = new Map<string, Held[]>();

/** How often an action of the contract ran. */
export const runs = { count: 0 };

/** Wait until `howMany` runs of `contractWait` with this key are there. */
export async function started(key: string, howMany = 1): Promise<void> {
  await until(() => (held.get(key)?.length ?? 0) >= howMany);
}

/** Let all runs with this key go on. */
export function release(key: string): void {
  const waiting = held.get(key) ?? [];
  held.delete(key);
  for (const run of waiting) run.release();
}

const templates: Record<string, Record<string, unknown>> = {
  contractEcho: {
    inputs: { value: { required: true }, other: {} },
    run: async ({ params }: any) => ({
      value: params.value,
      other: params.other ?? null,
      undeclared: params.undeclared ?? null,
      polluted: params.polluted ?? null,
    }),
  },
  contractWho: {
    run: async ({ connection }: any) => ({
      id: connection.id,
      type: connection.type,
    }),
  },
  contractInputs: {
    inputs: {
      list: { default: () => "a,b", formatter: (v: string) => v.split(",") },
      even: {
        formatter: (v: unknown) => Number(v),
        validator: (v: number) => {
          if (v % 2 !== 0) throw new Error(`${v} is not even`);
        },
      },
      where: { schema: { city: { required: true }, zip: {} } },
      strict: { validator: () => false },
      coded: { validator: () => ({ code: "C1", reason: "no such code" }) },
    },
    run: async ({ params }: any) => ({
      list: params.list,
      even: params.even ?? null,
      where: params.where ?? null,
    }),
  },
  contractThrow: {
    run: async () => {
      throw new Error("it went wrong");
    },
  },
  contractWait: {
    inputs: { key: { required: true }, mark: {} },
    run: async ({ params }: any) => {
      await new Promise<void>((go) => {
        const waiting = held.get(params.key) ?? [];
        waiting.push({ release: go });
        held.set(params.key, waiting);
      });
      return { waited: params.key, mark: params.mark ?? null };
    },
  },
  contractCount: {
    run: async () => ({ count: ++runs.count }),
  },
  contractMiddleware: {
    middleware: ["contract-local"],
    run: async ({ response, session }: any) => {
      response.order.push("run");
      return { session };
    },
  },
};

/** Put the actions there; plain objects, as users' tests do. */
export function addContractActions(type: string): void {
  const all: Record<string, Record<string, unknown>> = {
    ...templates,
    contractBlocked: {
      blockedConnectionTypes: [type],
      run: async () => ({ ran: true }),
    },
  };
  for (const [name, template] of Object.entries(all)) {
    api.actions.actions[name] = {
      1: { name, version: 1, description: name, ...template } as never,
    };
    api.actions.versions[name] = [1];
  }
  api.actions.actions.contractVersions = Object.fromEntries(
    ["1", "2", "10"].map((version) => [
      version,
      {
        name: "contractVersions",
        version: Number(version),
        description: version,
        run: async () => ({ version: Number(version) }),
      } as never,
    ]),
  );
  api.actions.versions.contractVersions = [1, 2, 10];
  api.params.buildPostVariables();
}
