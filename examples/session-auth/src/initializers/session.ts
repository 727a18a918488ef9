import {
  action,
  api,
  cache,
  type Connection,
  HttpError,
  Initializer,
} from "actionhero";

const PREFIX = "session:";
const LIFE_MS = 24 * 60 * 60 * 1000;

export interface Session {
  user: string;
}

function isNotFound(error: unknown): boolean {
  return (error as { code?: unknown }).code === "AH_CACHE_NOT_FOUND";
}

/** The fingerprint of a connection comes from its cookie, so it tells browsers apart. */
class Sessions {
  /** Under a new fingerprint: somebody may have planted a cookie in the browser to share the session. */
  async create(connection: Connection, user: string) {
    await this.destroy(connection);
    await cache.save(PREFIX + connection.fingerprint, { user }, LIFE_MS);
  }

  async find({ fingerprint }: Connection): Promise<Session | undefined> {
    try {
      const { value } = await cache.load(PREFIX + fingerprint, {
        expireTimeMS: LIFE_MS, // every use makes it live on
      });
      return value as Session;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error; // redis is away
    }
  }

  async destroy(connection: Connection) {
    await cache.destroy(PREFIX + connection.fingerprint);
    await connection.rotateFingerprint();
  }
}

declare module "actionhero" {
  interface Api {
    sessions: Sessions;
  }
}

export class SessionInitializer extends Initializer {
  constructor() {
    super();
    this.name = "session";
  }

  override async initialize() {
    api.sessions = new Sessions();
    action.addMiddleware({
      name: "signed-in",
      global: false,
      preProcessor: async (data) => {
        const session = await api.sessions.find(data.connection);
        if (!session) throw new HttpError(401, "please sign in");
        data.session = session;
      },
    });
  }
}
