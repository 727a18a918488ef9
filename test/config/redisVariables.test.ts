/** The environment variables that select a redis server. */
import { config } from "../../src/config/config";
import { useRedisVariables } from "../support/redisConfig";

const saved = { ...process.env };

afterAll(() => {
  process.env = saved;
});

const optionsWith = (...variables: Parameters<typeof useRedisVariables>) => {
  useRedisVariables(...variables);
  return config.redis.client.args[0];
};

const mustBegin = "REDIS_URL must be a URL that begins with redis://";

test.each([
  [{ REDIS_URL: "localhost:6379" }, mustBegin],
  [{ REDIS_URL: "redis.example.com:6379" }, mustBegin],
  [{ REDIS_URL: "127.0.0.1:6379" }, mustBegin],
  [{ REDIS_URL: "redis.example.com" }, mustBegin],
  [{ REDIS_URL: "http://localhost:6379" }, mustBegin],
  [{ REDIS_URL: "redis:localhost:6379" }, mustBegin],
  [{ REDIS_URL: "redis://localhost:port" }, mustBegin],
  [{ REDIS_URL: "redis://localhost/first" }, "at the end of REDIS_URL"],
  [{ REDIS_URL: "redis://:100%@localhost" }, "in REDIS_URL must be percent-"],
  [{ REDIS_HOST: "localhost", REDIS_PORT: "redis" }, "REDIS_PORT must be a"],
  [{ REDIS_DB: "first" }, "REDIS_DB must be the number of a database"],
])("%j is refused", (variables, message) => {
  expect(() => optionsWith(variables)).toThrow(message);
});

test.each([
  [
    { REDIS_URL: "rediss://me:a%40b@redis.example.com:6380/2" },
    {
      host: "redis.example.com",
      port: 6380,
      username: "me",
      password: "a@b",
      db: 2,
      tls: { rejectUnauthorized: false },
    },
  ],
  [
    { REDIS_URL: "REDIS://localhost/", REDIS_PORT: "7000", REDIS_DB: "3" },
    { host: "localhost", port: 7000, db: 3, tls: undefined },
  ],
  [{ REDIS_URL: "redis://[::1]:6379/0" }, { host: "::1", port: 6379, db: 0 }],
])("%j is read", (variables, options) => {
  expect(optionsWith(variables)).toMatchObject(options);
});
