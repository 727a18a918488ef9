/** The floor: node:http and nothing else. */
const fs = require("node:fs");
const http = require("node:http");
const querystring = require("node:querystring");
const answers = require("./answers");
const { inMemory } = require("../support/memoryLoad");
const { report } = require("../support/report");

const send = (res, status, body) => {
  res.writeHead(status, {
    ...answers.headers,
    "content-length": Buffer.byteLength(body),
  });
  res.end(body);
};

const etag = answers.fileEtag();

const server = http.createServer((req, res) => {
  const [pathname, query = ""] = req.url.split("?");
  if (pathname === "/api/number") {
    const max = Number(querystring.parse(query).max);
    if (!answers.isValid(max)) return send(res, 422, '{"error":"max"}');
    return send(res, 200, JSON.stringify({ max, half: max / 2 }));
  }
  if (pathname === "/api/echo" && req.method === "POST") {
    const chunks = [];
    req.on("data", (chunk) => chunks.push(chunk));
    req.on("end", () => {
      const { name, text, list } = JSON.parse(Buffer.concat(chunks).toString());
      send(res, 200, JSON.stringify({ name, text, list }));
    });
    return;
  }
  if (pathname === "/api/users" || pathname === "/api/output")
    return send(res, 200, JSON.stringify(answers.users()));
  if (pathname === "/public/file.txt") {
    fs.stat(answers.file, (_error, { size }) => {
      res.writeHead(200, {
        ...answers.fileHeaders,
        etag,
        "content-length": size,
      });
      fs.createReadStream(answers.file).pipe(res);
    });
    return;
  }
  send(res, 404, answers.notFound);
});
server.keepAliveTimeout = 72_000; // as Fastify: connections stay for all slices
server.listen(0, "127.0.0.1", () =>
  report(server.address().port, inMemory(server)),
);
