/** The checks of a project that has been initialized. Loaded only then, because loading this file builds the configuration. */
import {
  compilePath,
  problemOfPath,
  variableValue,
  type CompiledPath,
  type RouteSegment,
} from "../../route/matchUrl";
import type { RouteType } from "../../route/tables";
import { overridden, unknownMiddleware } from "../../boot/mistakes";
import { didYouMean } from "../../utils/closest";
import { type Check, ok, warn, type Finding } from "./check";
import { inputNamesOf } from "../../action/safeParams";
import { api } from "../../api";
import type { Action } from "../../action/action";
import { outputGap } from "../../action/output";
import { errorText } from "../../errors";
import { planOf, sendingGapOf, tableOf } from "../../input/schemaPlan";
import {
  failureOf,
  isStandardSchema,
  type DeclaredInputs,
} from "../../input/types";
import type { Task } from "../../task/task";

/** Run in the child process of the check `boot`. */
export const bootedChecks: readonly Check<undefined>[] = [
  {
    name: "routes",
    wants: "every route leads to an action, and no earlier route hides it",
    run: () => {
      const names = Object.keys(api.actions.actions);
      return checkRoutes(
        api.routes.routes,
        new Map(names.map((name) => [name, inputNamesOf(name)])),
      );
    },
  },
  {
    name: "middleware",
    wants: "the middleware that actions and tasks name exists",
    run: () => {
      const unknown = unknownMiddleware();
      if (unknown.length === 0) return ok("middleware", "all of it exists");
      // an initializer may add it when it starts, which the check does not do
      return unknown.map((message) => warn("middleware", message));
    },
  },
  {
    name: "overridden",
    wants:
      "no setting is without effect because another one decides, such as `proxies` of a rate limit beside `web.trustProxy`, or because the `DEFAULT` of a later file replaces it",
    run: () => {
      const messages = overridden();
      if (messages.length === 0) return ok("overridden", "no setting is");
      return messages.map((message) => warn("overridden", message));
    },
  },
  {
    name: "schemas",
    wants:
      "every schema of an action or a task has a JSON Schema: without it, texts are not coerced, and outputs are not pruned",
    run: () => {
      const versions = Object.values(api.actions.actions);
      return checkSchemas(
        versions.flatMap((actions) => Object.values(actions)),
        Object.values(api.tasks.tasks),
      );
    },
  },
];

// --- Routes: each leads to an action, and can be reached.

/** A route that the project wrote, with the method of its table. */
interface Placed {
  method: string;
  route: RouteType;
  path: CompiledPath;
}

/**
 * @param tables per method, in the order in which routes are tried
 * @param actions the names of the existing actions, with those of their inputs
 */
export function checkRoutes(
  tables: { [method: string]: readonly RouteType[] },
  actions: ReadonlyMap<string, ReadonlySet<string>>,
): Finding[] {
  // a route for all methods is in each table, but is reported once
  const findings = new Map<string, Finding>();
  let count = 0;
  for (const [method, routes] of Object.entries(tables)) {
    const placed = routes.map((route) => place(method, route));
    count += placed.length;
    for (const [index, entry] of placed.entries()) {
      const message =
        problemOfAction(entry, [...actions.keys()]) ??
        problemOfVariables(entry, actions.get(entry.route.action)) ??
        problemOfPlace(entry, placed.slice(0, index));
      const key = `${entry.route.path} ${entry.route.action}`;
      if (message && !findings.has(key))
        findings.set(key, warn("routes", message));
    }
  }
  if (findings.size > 0) return [...findings.values()];
  return [ok("routes", `${count} can be reached`)];
}

function place(method: string, route: RouteType): Placed {
  const { path, matchTrailingPathParts, literal } = route;
  return {
    method,
    route,
    path: compilePath(path, matchTrailingPathParts === true, literal === true),
  };
}

function problemOfAction(
  { method, route }: Placed,
  actionNames: readonly string[],
): string | undefined {
  const { action, dir } = route;
  if (dir || actionNames.includes(action)) return undefined;
  return `${shown(method, route)}: there is no action "${action}"${didYouMean(action, actionNames)}`;
}

function problemOfVariables(
  { method, route }: Placed,
  inputs: ReadonlySet<string> = new Set(),
): string | undefined {
  const problem =
    route.literal === true ? undefined : problemOfPath(route.path, inputs);
  return problem && `${shown(method, route)}: ${problem}`;
}

function problemOfPlace(
  { method, route, path }: Placed,
  earlier: readonly Placed[],
): string | undefined {
  const first = earlier.find((other) => covers(other.path, path));
  if (!first) return undefined;
  return `${shown(method, route)} is never reached: ${shown(method, first.route)} (${first.route.action || "files"}) comes first`;
}

function shown(method: string, { path }: RouteType): string {
  return `${method.toUpperCase()} ${path}`;
}

/** Whether each path that matches `later` also matches `earlier`. */
function covers(earlier: CompiledPath, later: CompiledPath): boolean {
  if (later.segments.length < earlier.segments.length) return false;
  const isLonger = later.segments.length > earlier.segments.length;
  if ((isLonger || later.matchTrailing) && !earlier.matchTrailing) return false;
  const takesRest = earlier.matchTrailing ? earlier.segments.length - 1 : -1;
  return earlier.segments.every((segment, index) => {
    // the pattern of the last variable applies to the whole rest of the path, which is unknown
    if (index === takesRest && segment.pattern) return false;
    return coversSegment(segment, later.segments[index]!);
  });
}

function coversSegment(earlier: RouteSegment, later: RouteSegment): boolean {
  if (earlier.literal !== undefined) return earlier.literal === later.literal;
  if (later.literal !== undefined)
    return variableValue(earlier, later.literal) !== undefined;
  if (earlier.pattern)
    return (
      earlier.prefix === later.prefix &&
      earlier.pattern.source === later.pattern?.source
    );
  return later.prefix.startsWith(earlier.prefix);
}

// --- Schemas: each can be described as a JSON Schema, so that texts are coerced and outputs are pruned.

/** @param actions every version of each */
function checkSchemas(
  actions: readonly Action[],
  tasks: readonly Task[],
): Finding[] {
  const gaps = [
    ...actions.flatMap((action) => [
      ...inputGaps(`the action \`${action.name}\``, action.inputs),
      outputGap(action) ?? [],
    ]),
    ...tasks.map(({ name, inputs }) =>
      inputGaps(`the task \`${name}\``, inputs),
    ),
  ].flat();
  if (gaps.length > 0) return gaps.map((message) => warn("schemas", message));
  return [ok("schemas", "all can be described")];
}

function inputGaps(
  owner: string,
  inputs: DeclaredInputs | null | undefined,
): string[] {
  const named: [string, unknown][] = Object.entries(tableOf(inputs)).map(
    ([name, { schema }]) => [`the input \`${name}\``, schema],
  );
  named.unshift(["the inputs", inputs]);
  return named.flatMap(([what, schema]) => {
    if (!isStandardSchema(schema)) return [];
    const { json } = planOf(schema);
    const failure = failureOf(schema);
    const sendingGap = sendingGapOf(schema);
    if (sendingGap) return `${what} of ${owner} ${sendingGap}`;
    if (json && !failure) return [];
    const reason = failure
      ? errorText(failure)
      : `its library (${schema["~standard"].vendor}) provides none`;
    return `${what} of ${owner} cannot be described as a JSON Schema (${reason}): texts of ${json ? "some" : "all"} properties are not coerced`;
  });
}
