import { Initializer } from "../src/boot/initializer";
import {
  connectRedis,
  joinCluster,
  leaveCluster,
} from "../src/redis/lifecycle";

/** Connects to redis before, and leaves it after, everything that uses it. */
export class RedisInitializer extends Initializer {
  constructor() {
    super();
    this.name = "redis";
    this.loadPriority = 200;
    this.startPriority = 101;
    this.stopPriority = 99999;
  }

  override async initialize(): Promise<void> {
    await connectRedis();
  }

  override async start(): Promise<void> {
    await joinCluster();
  }

  override async stop(): Promise<void> {
    await leaveCluster();
  }
}
