/** Follows a Dockerfile on this machine, without a container: each stage is a folder, each RUN a command in it. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { spawnSync } from "node:child_process";
import { runOk } from "./runCli";
import { Service } from "./service";

interface Instruction {
  name: string;
  text: string;
}

/** What an image would be. */
export interface Image {
  /** The name and tag that its last stage begins from. */
  base: string;
  /** The folder that stands for `/`. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user: string;
  ports: number[];
  healthcheck: string[];
  cmd: string[];
  /** Who owns the copied files, when a COPY says so. */
  owner?: string;
}

export interface BuildOptions {
  /** The folder that is sent to the builder. */
  context: string;
  /** An empty folder to build in. */
  folder: string;
  /** For commands of RUN, beside what ENV sets. */
  env?: Record<string, string>;
}

/** The instructions of a Dockerfile, in order. */
export function parseDockerfile(text: string): Instruction[] {
  return text
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, name, rest] = /^\s*(\w+)\s+(.*)$/.exec(line)!;
      return { name: name.toUpperCase(), text: rest.trim() };
    });
}

/** Follow every instruction; one that is not known here is an error. */
export async function followDockerfile(
  text: string,
  options: BuildOptions,
): Promise<Image> {
  const build = new Build(options);
  for (const { name, text: rest } of parseDockerfile(text))
    await build.follow(name, rest);
  return build.image;
}

class Build {
  image!: Image;
  private readonly stages = new Map<string, Image>();
  private readonly ignored: string[];

  constructor(private readonly options: BuildOptions) {
    const file = path.join(options.context, ".dockerignore");
    this.ignored = fs.readFileSync(file, "utf8").split("\n").filter(Boolean);
    const strange = this.ignored.filter((line) => !/^[\w./-]+$/.test(line));
    if (strange.length > 0)
      throw new Error(`patterns of .dockerignore: ${strange.join(", ")}`);
  }

  async follow(name: string, text: string): Promise<void> {
    switch (name) {
      case "FROM":
        return this.from(text);
      case "WORKDIR":
        this.image.workdir = text;
        fs.mkdirSync(this.inside(text), { recursive: true });
        return;
      case "ENV": {
        const [, key, value] = /^(\w+)=(\S+)$/.exec(text)!;
        this.image.env[key] = value;
        return;
      }
      case "COPY":
        return this.copy(text);
      case "RUN":
        await runOk("/bin/sh", ["-c", text], {
          cwd: this.inside("."),
          env: { ...this.options.env, ...this.image.env },
          limitMs: 240_000,
        });
        return;
      case "USER":
        this.image.user = text;
        return;
      case "EXPOSE":
        this.image.ports.push(...text.split(/\s+/).map(Number));
        return;
      case "HEALTHCHECK":
        this.image.healthcheck = commandOf(text.replace(/^.*?\bCMD\s+/, ""));
        return;
      case "CMD":
        this.image.cmd = commandOf(text);
        return;
      default:
        throw new Error(`the instruction ${name} is not known here`);
    }
  }

  private from(text: string): void {
    const [, base, name] = /^(\S+)(?: AS (\S+))?$/i.exec(text)!;
    const root = path.join(this.options.folder, String(this.stages.size));
    fs.mkdirSync(root);
    this.image = {
      base,
      root,
      workdir: "/",
      env: {},
      user: "root",
      ports: [],
      healthcheck: [],
      cmd: [],
    };
    this.stages.set(name ?? String(this.stages.size), this.image);
  }

  private copy(text: string): void {
    const words = text.split(/\s+/);
    const flags = words.filter((word) => word.startsWith("--"));
    const names = words.filter((word) => !word.startsWith("--"));
    const target = this.inside(names.pop()!);
    let source = this.options.context;
    let isContext = true;
    for (const flag of flags) {
      const [name, value] = flag.slice(2).split("=");
      if (name === "from") {
        source = this.stages.get(value)!.root;
        isContext = false;
      } else if (name === "chown") this.image.owner = value;
      else throw new Error(`the option ${flag} of COPY is not known here`);
    }
    for (const name of names) {
      const found = this.matching(source, name, isContext);
      if (found.length === 0) throw new Error(`COPY finds no ${name}`);
      for (const file of found) this.copyInto(file, target, isContext);
    }
  }

  /** Files and folders by a name, in which `*` stands for any part of the last word. */
  private matching(source: string, name: string, isContext: boolean): string[] {
    const full = path.join(source, name);
    if (!name.includes("*")) return fs.existsSync(full) ? [full] : [];
    const parts = path.basename(name).split("*").map(escapeRegExp);
    const pattern = new RegExp(`^${parts.join(".*")}$`);
    return fs
      .readdirSync(path.dirname(full))
      .filter((entry) => pattern.test(entry))
      .map((entry) => path.join(path.dirname(full), entry))
      .filter((file) => !isContext || !this.isIgnored(file));
  }

  /** A folder is copied as what is in it. */
  private copyInto(file: string, target: string, isContext: boolean): void {
    const isFolder = fs.statSync(file).isDirectory();
    const destination = isFolder
      ? target
      : path.join(target, path.basename(file));
    fs.cpSync(file, destination, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (from) => !isContext || !this.isIgnored(from),
    });
  }

  private isIgnored(file: string): boolean {
    const name = path.relative(this.options.context, file);
    return this.ignored.some(
      (line) => name === line || name.startsWith(`${line}/`),
    );
  }

  /** The place in the stage's folder; a relative one is below WORKDIR. */
  private inside(target: string): string {
    return path.join(
      this.image.root,
      path.posix.resolve(this.image.workdir, target),
    );
  }
}

/** A command as a list of words; the form of the shell has no signals for what it runs. */
function commandOf(text: string): string[] {
  return JSON.parse(text) as string[];
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The user of the base image that is not root, by its number there. */
const USERS: Record<string, number> = { node: 1000, "node:node": 1000 };

/** Start what the image runs, as its user where this process may do that. */
export function startImage(image: Image, env: Record<string, string>): Service {
  const [program, ...words] = image.cmd;
  const options = {
    cwd: path.join(image.root, image.workdir),
    env: { ...image.env, ...env },
  };
  const uid = USERS[image.user];
  if (uid === undefined) throw new Error(`no user is named ${image.user} here`);
  const isRoot = process.getuid?.() === 0;
  const as = { uid, gid: uid };
  // a program below the home of root cannot be run by others
  if (!isRoot || spawnSync(program, ["--version"], as).error)
    return new Service(program, words, options);

  if (image.owner) give(image.root, USERS[image.owner]);
  letThrough(image.root);
  return new Service(program, words, { ...options, ...as });
}

/** Make a user the owner of a folder and of all that is in it. */
function give(folder: string, uid: number): void {
  fs.lchownSync(folder, uid, uid);
  for (const entry of fs.readdirSync(folder, {
    recursive: true,
    encoding: "utf8",
  }))
    fs.lchownSync(path.join(folder, entry), uid, uid);
}

/** Temporary folders are their owner's alone; what is in one of them is not. */
function letThrough(folder: string): void {
  const shared = fs.realpathSync(os.tmpdir());
  let above = folder;
  while (above.startsWith(shared + path.sep)) {
    fs.chmodSync(above, 0o755);
    above = path.dirname(above);
  }
}
