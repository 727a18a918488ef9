/**
 * What the compiler needs for a project of many actions with schemas: the schemas, functions and their callers alone, without the
 * framework; the actions; and the actions with typed callers. "ours" is what the last takes beyond the first.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const root = path.join(__dirname, "..");
const option = (name: string, fallback: string) =>
  process.argv
    .find((word) => word.startsWith(`--${name}=`))
    ?.slice(name.length + 3) ?? fallback;
const actions = Number(option("actions", "300"));
const compiler = option(
  "tsc",
  path.join(root, "node_modules/typescript/bin/tsc"),
);

const numbers = Array.from({ length: actions }, (_, i) => i);

function actionFile(i: number): string {
  return `import { action, defineAction } from "actionhero";
import { z } from "zod";

export const show${i} = defineAction({
  name: "show:${i}",
  inputs: z.object({ id: z.int(), tags: z.array(z.string()).default([]), place: z.object({ city: z.string() }).optional() }),
  output: z.object({ id: z.number(), name: z.string(), tags: z.array(z.string()) }),
  run: async ({ params }) => {
    ${i === 0 ? "" : `await action.run("show:${i - 1}", undefined, { id: 1 });`}
    return { id: params.id, name: params.place?.city ?? "", tags: params.tags };
  },
});
`;
}

/** The same schemas and code, with no type of ours. */
function plainFile(i: number): string {
  return `import { z } from "zod";

export const inputs${i} = z.object({ id: z.int(), tags: z.array(z.string()).default([]), place: z.object({ city: z.string() }).optional() });
export const output${i} = z.object({ id: z.number(), name: z.string(), tags: z.array(z.string()) });
export async function show${i}(params: z.output<typeof inputs${i}>): Promise<z.input<typeof output${i}>> {
  return { id: params.id, name: params.place?.city ?? "", tags: params.tags };
}
export const call${i} = async (params: z.input<typeof inputs${i}>) => show${i}(inputs${i}.parse(params));
`;
}

const plainCallers = `${numbers.map((i) => `import { call${i} } from "./actions/show${i}";`).join("\n")}
export async function all() {
${numbers
  .map(
    (i) => `  const a${i}: string = (await call${i}({ id: ${i} })).name;
  const b${i}: string = (await call${i}({ id: ${i} })).name;`,
  )
  .join("\n")}
  return [${numbers.map((i) => `a${i}, b${i}`).join(", ")}];
}
`;

const callers = `import { specHelper } from "actionhero";
import { createClient } from "actionhero/client";
import type { Actions } from "./actions.gen";

const api = createClient<Actions>({ url: "" });
export async function all() {
${numbers
  .map(
    (i) => `  const a${i}: string = (await api.show[${i}]({ id: ${i} })).name;
  const b${i}: string = (await specHelper.runAction("show:${i}", { id: ${i} })).name;`,
  )
  .join("\n")}
  return [${numbers.map((i) => `a${i}, b${i}`).join(", ")}];
}
`;

/** As \`actionhero types\` writes it. */
const generated = `import type { ActionSignature } from "actionhero";
${numbers.map((i) => `import type * as m${i} from "./actions/show${i}";`).join("\n")}
export interface Actions {
${numbers
  .map(
    (i) => `  "show:${i}": Actions["show:${i}@1"];
  "show:${i}@1": ActionSignature<(typeof m${i})["show${i}"]>;`,
  )
  .join("\n")}
}
declare module "actionhero" {
  interface ActionRegistry extends Actions {}
}
`;

/** Processor time, which other users of the machine stretch less than the clock. */
const CPU = `data:text/javascript,process.on("exit",()=>{const{user,system}=process.cpuUsage();process.stderr.write("cpu "+(user+system)/1e6)})`;

interface Seconds {
  wall: number;
  /** Of all threads of the compiler's process, those of V8 included. */
  cpu: number;
}

function compile(title: string, files: Record<string, string>): Seconds {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "types-bench-"));
  try {
    fs.mkdirSync(path.join(folder, "actions"));
    fs.mkdirSync(path.join(folder, "node_modules/@types"), { recursive: true });
    const modules = path.join(root, "node_modules");
    const links = { actionhero: root, zod: path.join(modules, "zod") };
    for (const [name, target] of Object.entries(links))
      fs.symlinkSync(target, path.join(folder, "node_modules", name));
    fs.symlinkSync(
      path.join(modules, "@types/node"),
      path.join(folder, "node_modules/@types/node"),
    );
    for (const [name, text] of Object.entries(files))
      fs.writeFileSync(path.join(folder, name), text);
    const compilerOptions = {
      module: "commonjs",
      target: "es2022",
      strict: true,
      skipLibCheck: true,
      noEmit: true,
      types: ["node"],
    };
    fs.writeFileSync(
      path.join(folder, "tsconfig.json"),
      JSON.stringify({ compilerOptions }),
    );
    const began = performance.now();
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ["--import", CPU, compiler, "-p", folder, "--extendedDiagnostics"],
      { encoding: "utf8" },
    );
    const instantiations = /Instantiations: +(\S+)/.exec(stdout)?.[1];
    const wall = (performance.now() - began) / 1000;
    const cpu = Number(/cpu ([\d.]+)/.exec(stderr)?.[1]);
    const errors = stdout.match(/error TS/g)?.length ?? 0;
    console.log(
      `${title.padEnd(28)} ${wall.toFixed(1)} s, ${cpu.toFixed(1)} s of the processor, ${instantiations} instantiations, ${errors} errors`,
    );
    if (status !== 0) console.log(stdout.split("\n").slice(0, 5).join("\n"));
    return { wall, cpu };
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

const files = Object.fromEntries(
  numbers.map((i) => [`actions/show${i}.ts`, actionFile(i)]),
);
const nothing = compile("an empty file", { "index.ts": "export {};" });
const plain = compile(`${actions} schemas, plain calls`, {
  ...Object.fromEntries(
    numbers.map((i) => [`actions/show${i}.ts`, plainFile(i)]),
  ),
  "callers.ts": plainCallers,
});
compile(`${actions} actions, untyped calls`, files);
const typed = compile(`${actions} actions, typed calls`, {
  ...files,
  "actions.gen.ts": generated,
  "callers.ts": callers,
});
const both = (one: Seconds, other = { wall: 0, cpu: 0 }) =>
  `${(one.wall - other.wall).toFixed(1)} s (${(one.cpu - other.cpu).toFixed(1)} s of the processor)`;
console.log(
  `node's types alone ${both(nothing)}, ours ${both(typed, plain)}; the goal is 10 s for typed calls: ${both(typed)}`,
);
