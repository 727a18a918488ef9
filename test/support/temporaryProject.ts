/** Small projects on disk, for tests of loading and booting. */
import * as fs from "fs";
import * as os from "os";
import * as path from "path";

export const repositoryRoot = path.join(__dirname, "..", "..");

/** A folder of its own that `remove` takes away; names may contain sub-folders. */
export class TemporaryProject {
  readonly root = fs.realpathSync(
    fs.mkdtempSync(path.join(os.tmpdir(), "ah-project-")),
  );

  constructor(files: Record<string, string> = {}) {
    for (const [name, content] of Object.entries(files))
      this.write(name, content);
  }

  /** @returns the absolute path of the written file */
  write(name: string, content: string): string {
    const file = this.path(name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
    return file;
  }

  path(name: string): string {
    return path.join(this.root, name);
  }

  remove(): void {
    // a process that was just stopped may still write its last file
    fs.rmSync(this.root, { recursive: true, force: true, maxRetries: 20 });
  }
}
