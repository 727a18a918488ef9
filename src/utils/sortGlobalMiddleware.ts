/** Sort middleware names in place by ascending priority; equal priorities keep their order. */
export function sortGlobalMiddleware(
  names: string[],
  middleware: { [name: string]: { priority?: number } },
): void {
  names.sort((a, b) => priorityOf(middleware[a]) - priorityOf(middleware[b]));
}

function priorityOf(entry: { priority?: number } | undefined): number {
  return entry?.priority ?? 0;
}
