/** The index of one route table: finds the first match without trying every route. */
import { log } from "../log/log";
import type { RouteType } from "./tables";
import {
  type RouteSegment,
  type CompiledPath,
  compilePath,
  variableValue,
  literalOf,
  setVariable,
} from "./matchUrl";

export interface RouteMatch {
  route: RouteType;
  /** The variables of the path, still encoded. */
  params: { readonly [name: string]: string };
  /** The number of path parts before the file path of a folder's route. */
  depth: number;
}

/**
 * The match of a list of path parts, for one that is kept and never changed: the web server keeps those of recent
 * paths. The other methods of a path have other routers.
 */
export const MATCHED = Symbol("matched");

export interface KeptParts extends ReadonlyArray<string> {
  [MATCHED]?: { by: Router | undefined; match: RouteMatch | undefined };
}

interface Entry {
  route: RouteType;
  path: CompiledPath;
  /** Position in the table: the match with the lowest position is used. */
  index: number;
  /** As in RouteMatch. */
  depth: number;
}

/** Routes with the same beginning share nodes; variables are distinguished by prefix and pattern, not by name. */
interface Node {
  /** The lowest position below this node, to skip nodes that cannot contain a better match. */
  lowest: number;
  literals: Map<string, Node>;
  variables: Variable[];
  /** The first route that ends here. */
  end?: Entry;
  /** The first route that ends here and matches all trailing parts. */
  endTrailing?: Entry;
  /** Routes whose last part is a variable that matches all trailing parts. */
  trailing: Entry[];
}

interface Variable {
  segment: RouteSegment;
  /** The name of the variable in the routes. */
  names: Set<string>;
  node: Node;
}

interface VariableSearch {
  parts: readonly string[];
  isWanted: (name: string) => boolean;
  /** Later parts are of no interest: one before them was found. */
  end: number;
}

interface Search {
  parts: readonly string[];
  best: Entry | undefined;
}

export class Router {
  /** The actions that have a route. */
  readonly actions: ReadonlySet<string>;
  private readonly root = newNode();

  constructor(routes: readonly RouteType[]) {
    this.actions = new Set(routes.map(({ action }) => action));
    for (const [index, route] of routes.entries()) {
      const path = tryCompile(route);
      if (path) this.add({ route, path, index, depth: depthOf(path) });
    }
  }

  /** The first matching route in the order of the table. */
  match(parts: KeptParts): RouteMatch | undefined {
    const matched = parts[MATCHED];
    if (matched === undefined) return this.search(parts);
    if (matched.by !== this) {
      matched.match = this.search(parts);
      matched.by = this;
    }
    return matched.match;
  }

  private search(parts: readonly string[]): RouteMatch | undefined {
    const search: Search = { parts, best: undefined };
    visit(this.root, 0, search);
    const { best } = search;
    return (
      best && {
        route: best.route,
        params: variablesOf(best, parts),
        depth: best.depth,
      }
    );
  }

  /**
   * The index of the first path part that a route would assign to one of these variables; preceding parts must match.
   * The patterns of variables and later parts do not count.
   * @param parts non-empty strings
   */
  firstVariable(
    parts: readonly string[],
    isWanted: (name: string) => boolean,
  ): number | undefined {
    return lookForVariable(this.root, 0, {
      parts,
      isWanted,
      end: parts.length,
    });
  }

  private add(entry: Entry): void {
    const { segments, matchTrailing } = entry.path;
    let node = this.root;
    lower(node, entry);
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]!;
      const isLast = i === segments.length - 1;
      if (matchTrailing && isLast && segment.literal === undefined) {
        node.trailing.push(entry);
        return;
      }
      node = childFor(node, segment);
      lower(node, entry);
    }
    if (matchTrailing) node.endTrailing ??= entry;
    else node.end ??= entry;
  }
}

/** A manually added route with an invalid pattern must not affect the others. */
function tryCompile(route: RouteType): CompiledPath | undefined {
  try {
    return compilePath(
      route.path,
      route.matchTrailingPathParts === true,
      route.literal === true,
    );
  } catch (error) {
    log(`route ignored: ${route.path}`, "error", { error: String(error) });
    return undefined;
  }
}

function newNode(): Node {
  return {
    lowest: Infinity,
    literals: new Map(),
    variables: [],
    end: undefined,
    endTrailing: undefined,
    trailing: [],
  };
}

function lower(node: Node, entry: Entry): void {
  if (entry.index < node.lowest) node.lowest = entry.index;
}

function childFor(node: Node, segment: RouteSegment): Node {
  if (segment.literal !== undefined) {
    let child = node.literals.get(segment.literal);
    if (!child) node.literals.set(segment.literal, (child = newNode()));
    return child;
  }
  const known = node.variables.find(
    (variable) =>
      variable.segment.prefix === segment.prefix &&
      variable.segment.pattern?.source === segment.pattern?.source,
  );
  if (known) {
    known.names.add(segment.name);
    return known.node;
  }
  const child = newNode();
  const names = new Set([segment.name]);
  node.variables.push({ segment, names, node: child });
  return child;
}

function visit(node: Node, depth: number, search: Search): void {
  if (isBeaten(node, search)) return;
  const { parts } = search;
  if (depth === parts.length) consider(node.end, search);
  consider(node.endTrailing, search);
  const part = parts[depth];
  if (part === undefined || part === "") return;

  if (node.trailing.length > 0) considerTrailing(node, depth, search);
  if (node.literals.size > 0) {
    const child = node.literals.get(part) ?? node.literals.get(literalOf(part));
    if (child) visit(child, depth + 1, search);
  }
  for (const { segment, node: child } of node.variables) {
    if (isBeaten(child, search)) continue;
    if (variableValue(segment, part) !== undefined)
      visit(child, depth + 1, search);
  }
}

/** Whether an earlier route than those below the node was found. */
function isBeaten({ lowest }: Node, { best }: Search): boolean {
  return best !== undefined && lowest > best.index;
}

/** Routes whose last variable matches the rest of the path. */
function considerTrailing(node: Node, depth: number, search: Search): void {
  const rest = search.parts.slice(depth).join("/");
  for (const entry of node.trailing) {
    if (search.best && entry.index > search.best.index) break;
    const segment = entry.path.segments[depth]!;
    if (variableValue(segment, rest) !== undefined) consider(entry, search);
  }
}

function lookForVariable(
  node: Node,
  depth: number,
  search: VariableSearch,
): number | undefined {
  if (depth >= search.end) return undefined;
  const part = search.parts[depth]!;
  if (hasVariable(node, depth, search)) return (search.end = depth);
  let first: number | undefined;
  for (const { segment, node: child } of node.variables) {
    if (part.startsWith(segment.prefix))
      first = lookForVariable(child, depth + 1, search) ?? first;
  }
  const child = node.literals.get(literalOf(part));
  return (child && lookForVariable(child, depth + 1, search)) ?? first;
}

/** Whether a variable of one of the names takes the part at this depth. */
function hasVariable(
  node: Node,
  depth: number,
  { parts, isWanted }: VariableSearch,
): boolean {
  const part = parts[depth]!;
  const isTaken = ({ prefix, name }: RouteSegment) =>
    part.startsWith(prefix) && isWanted(name);
  return (
    node.variables.some(
      ({ segment, names }) =>
        part.startsWith(segment.prefix) && [...names].some(isWanted),
    ) || node.trailing.some(({ path }) => isTaken(path.segments[depth]!))
  );
}

function depthOf({ segments, matchTrailing }: CompiledPath): number {
  const isRest = matchTrailing && segments.at(-1)?.literal === undefined;
  return isRest ? Math.max(segments.length - 1, 0) : segments.length;
}

function consider(entry: Entry | undefined, search: Search): void {
  if (entry && (!search.best || entry.index < search.best.index))
    search.best = entry;
}

function variablesOf(
  { path: { segments, matchTrailing } }: Entry,
  parts: readonly string[],
): { [name: string]: string } {
  const params: { [name: string]: string } = {};
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]!;
    if (segment.literal !== undefined) continue;
    const takesRest = matchTrailing && i === segments.length - 1;
    const whole = takesRest ? parts.slice(i).join("/") : parts[i]!;
    setVariable(params, segment.name, whole.slice(segment.prefix.length));
  }
  return params;
}
