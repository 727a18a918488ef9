/** The params that reach actions: `api.params`. */
import { api } from "../api";
import { settings } from "../config/settings";
import { tableOf } from "../input/schemaPlan";
import type { DeclaredInputs } from "../input/types";
import { registerMiddleware } from "../middleware/stack";
import type { ActionProcessor } from "./actionProcessor";

/** Params of the framework itself, which every action takes and none may declare. */
export const globalSafeParams: readonly string[] = [
  "file",
  "apiVersion",
  "callback",
  "action",
  "messageId",
];

export interface ParamsApi {
  globalSafeParams: string[];
  /** Every param that some action takes: what `paramAdd` keeps and web metadata repeats. */
  postVariables: string[];
  /** Collect `postVariables` anew from the loaded actions. */
  buildPostVariables(): string[];
}

declare module "../api" {
  interface Api {
    params: ParamsApi;
  }
}

export function createParamsApi(): ParamsApi {
  const params: ParamsApi = {
    globalSafeParams: [...globalSafeParams, ...pagingParams()],
    postVariables: [],
    buildPostVariables() {
      const names = new Set(params.globalSafeParams);
      for (const action of Object.keys(api.actions?.actions ?? {}))
        for (const input of inputNamesOf(action)) names.add(input);
      params.postVariables = [...names];
      return params.postVariables;
    },
  };
  return params;
}

/** The inputs of an action, in any of its versions. */
export function inputNamesOf(action: string): Set<string> {
  const names = new Set<string>();
  for (const template of Object.values(api.actions.actions[action] ?? {}))
    for (const input of Object.keys(tableOf(template.inputs))) names.add(input);
  return names;
}

// --- `config.general.defaultLimit` and `defaultOffset`: two params that every action then has, as numbers.

const NAME = "paging";
/** Before the middleware of projects, which sees the numbers. */
const PRIORITY = 2;

const SETTINGS = { limit: "defaultLimit", offset: "defaultOffset" } as const;

type PagingParam = keyof typeof SETTINGS;

/** The paging params with a configured default. */
export function pagingParams(): PagingParam[] {
  return (Object.keys(SETTINGS) as PagingParam[]).filter(
    (param) => defaultOf(param) !== undefined,
  );
}

/**
 * Register the middleware that fills them in, if defaults are configured. Actions that declare one of them apply their
 * own rules.
 */
export function addPaging(): void {
  if (pagingParams().length === 0) return;
  registerMiddleware(
    api.actions,
    { name: NAME, global: true, priority: PRIORITY, preProcessor: fillIn },
    true,
  );
}

function fillIn({ params, actionTemplate }: ActionProcessor): void {
  const { inputs } = (actionTemplate ?? {}) as { inputs?: DeclaredInputs };
  const declared = tableOf(inputs);
  for (const param of pagingParams()) {
    if (Object.hasOwn(declared, param)) continue;
    params[param] = numberOf(params[param]) ?? defaultOf(param);
  }
}

/** Clients may send anything for a number. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "string" && value.trim() === "") return undefined;
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function defaultOf(param: PagingParam): number | undefined {
  const value: unknown = settings().general[SETTINGS[param]];
  return typeof value === "number" ? value : undefined;
}
