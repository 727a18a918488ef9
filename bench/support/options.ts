/** What all benchmarks take from the command line, as `--name=value`. */

export function option(name: string, fallback: string): string {
  return (
    process.argv
      .find((argument) => argument.startsWith(`--${name}=`))
      ?.slice(name.length + 3) ?? fallback
  );
}

export const numberOption = (name: string, fallback: number) =>
  Number(option(name, String(fallback)));

/** Whether `--name` is given. */
export const flag = (name: string) => process.argv.includes(`--${name}`);
