import { settings } from "./settings";

/** The source path of a compiled one, by `config.general.paths.dist` and `.src` (first occurrence). */
export function replaceDistWithSrc(file: string): string {
  const { dist, src } = settings().general.paths;
  return file.replace(dist as string, src as string);
}
