import { randomBytes, scrypt, timingSafeEqual } from "crypto";
import { promisify } from "util";
import { api, cache, HttpError, Initializer } from "actionhero";

const PREFIX = "user:";
const KEY_BYTES = 32;

const derive = promisify(scrypt) as (
  password: string,
  salt: Buffer,
  length: number,
) => Promise<Buffer>;

interface StoredUser {
  salt: string;
  hash: string;
}

/** Kept in the cache, so that the example needs nothing else; yours are in a database. */
class Users {
  /** @throws Error when the name is taken */
  async create(name: string, password: string) {
    if (await this.find(name)) throw new HttpError(409, "that name is taken");
    const salt = randomBytes(16);
    const hash = await derive(password, salt, KEY_BYTES);
    await cache.save(PREFIX + name, {
      salt: salt.toString("hex"),
      hash: hash.toString("hex"),
    });
  }

  async check(name: string, password: string): Promise<boolean> {
    const user = await this.find(name);
    // also for names that do not exist, so that the time tells nothing
    const salt = Buffer.from(user?.salt ?? "00", "hex");
    const hash = await derive(password, salt, KEY_BYTES);
    return Boolean(user) && timingSafeEqual(hash, toBytes(user!.hash));
  }

  private async find(name: string): Promise<StoredUser | undefined> {
    try {
      const { value } = await cache.load(PREFIX + name);
      return value as StoredUser;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error; // redis is away
    }
  }
}

function isNotFound(error: unknown): boolean {
  return (error as { code?: unknown }).code === "AH_CACHE_NOT_FOUND";
}

function toBytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

declare module "actionhero" {
  interface Api {
    users: Users;
  }
}

export class UsersInitializer extends Initializer {
  constructor() {
    super();
    this.name = "users";
  }

  override async initialize() {
    api.users = new Users();
  }
}
