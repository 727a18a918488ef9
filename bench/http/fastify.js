/** Fastify: with our headers, with only its own (BENCH_HEADERS=bare), with pino (BENCH_LOG=file). */
const path = require("node:path");
const fastify = require("fastify");
const answers = require("./answers");
const { inMemory } = require("../support/memoryLoad");
const { report } = require("../support/report");

function bufferedPino(dest) {
  const pino = require("pino"); // a server without logs does not load it
  return pino(pino.destination({ dest, sync: false, minLength: 4096 }));
}

const isBare = process.env.BENCH_HEADERS === "bare";
const logFile = process.env.BENCH_LOG;
const app = fastify({
  loggerInstance: logFile ? bufferedPino(logFile) : undefined,
});

if (!isBare) {
  app.addHook("onRequest", (_request, reply, done) => {
    reply.headers(answers.headers);
    done();
  });
}
app.get(
  "/api/number",
  {
    schema: {
      querystring: {
        type: "object",
        required: ["max"],
        properties: { max: { type: "integer", minimum: 1 } },
      },
      response: {
        200: {
          type: "object",
          properties: { max: { type: "number" }, half: { type: "number" } },
        },
      },
    },
  },
  (request, reply) => {
    const { max } = request.query;
    reply.send({ max, half: max / 2 });
  },
);
app.post("/api/echo", (request, reply) => {
  const { name, text, list } = request.body;
  reply.send({ name, text, list });
});
app.get("/api/users", (_request, reply) => reply.send(answers.users()));
app.get(
  "/api/output",
  { schema: { response: { 200: answers.usersSchema } } },
  (_request, reply) => reply.send(answers.users()),
);
app.setNotFoundHandler((_request, reply) => {
  reply.code(404).send({ error: "unknown action or invalid apiVersion" });
});
app.register(require("@fastify/static"), {
  root: path.dirname(answers.file),
  prefix: "/public/",
  maxAge: 60_000,
  lastModified: false,
  setHeaders: isBare
    ? undefined
    : (res) => {
        for (const [name, value] of Object.entries(answers.fileHeaders))
          res.setHeader(name, value);
      },
});
app
  .listen({ port: 0, host: "127.0.0.1" })
  .then(() => report(app.server.address().port, inMemory(app.server)));
