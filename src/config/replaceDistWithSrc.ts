import { config } from "./config";

/** The source path of a compiled one, by `config.general.paths.dist` and `.src` (first occurrence). */
export function replaceDistWithSrc(file: string): string {
  const paths = config.general.paths as { dist: string; src: string };
  return file.replace(paths.dist, paths.src);
}
