/** Which params reach actions: `api.params`. */
import { api } from "../api";
import { tableOf } from "../input/schemaPlan";
import { pagingParams } from "./paging";

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
      for (const versions of Object.values(api.actions?.actions ?? {})) {
        for (const template of Object.values(versions)) {
          for (const input of Object.keys(tableOf(template.inputs)))
            names.add(input);
        }
      }
      params.postVariables = [...names];
      return params.postVariables;
    },
  };
  return params;
}
