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

/** Kept in redis, so that the example needs nothing else; yours are in a database. */
class Users {
  /** @throws HttpError 409 when the name is taken, by a request of the same moment, too */
  async create(name: string, password: string) {
    const salt = randomBytes(16);
    const hash = await derive(password, salt, KEY_BYTES);
    const user: StoredUser = {
      salt: salt.toString("hex"),
      hash: hash.toString("hex"),
    };
    const key = PREFIX + name;
    const isNew = await cache.client().set(key, JSON.stringify(user), "NX");
    if (!isNew) throw new HttpError(409, "that name is taken");
  }

  async check(name: string, password: string): Promise<boolean> {
    const user = await this.find(name);
    // also for names that do not exist, so that the time tells nothing
    const salt = Buffer.from(user?.salt ?? "00", "hex");
    const hash = await derive(password, salt, KEY_BYTES);
    return Boolean(user) && timingSafeEqual(hash, toBytes(user!.hash));
  }

  private async find(name: string): Promise<StoredUser | undefined> {
    const text = await cache.client().get(PREFIX + name);
    return text ? (JSON.parse(text) as StoredUser) : undefined;
  }
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
