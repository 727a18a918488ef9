/** `config.general.defaultLimit` and `defaultOffset`: two params that every action then has, as numbers. */
import { api } from "../api";
import { settings } from "../config/settings";
import { tableOf } from "../input/schemaPlan";
import type { DeclaredInputs } from "../input/types";
import { registerMiddleware } from "../middleware/stack";
import type { ActionProcessor } from "./actionProcessor";

const NAME = "paging";
/** Before the middleware of projects, which sees the numbers. */
const PRIORITY = 2;

const SETTINGS = { limit: "defaultLimit", offset: "defaultOffset" } as const;

type PagingParam = keyof typeof SETTINGS;

/** Those of the two that the configuration gives a default. */
export function pagingParams(): PagingParam[] {
  return (Object.keys(SETTINGS) as PagingParam[]).filter(
    (param) => defaultOf(param) !== undefined,
  );
}

/** Fill them in from now on, if the configuration gives defaults; an action that declares one has its own rules for it. */
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
