/** `api.redis` without the rest of a process, for suites of what stands directly on redis. */
import { connectRedis, leaveCluster } from "../../src/redis/lifecycle";

/** Connect before the suite, disconnect after it. */
export function useRedisApi(): void {
  beforeAll(() => connectRedis());
  afterAll(() => leaveCluster());
}
