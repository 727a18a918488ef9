/** The floor: node:net or node:tls, lines of JSON, the answers of a chunk in one write. TLS with BENCH_TLS. */
const net = require("node:net");
const tls = require("node:tls");
const { StringDecoder } = require("node:string_decoder");
const { report } = require("../support/report");

const onClient = (socket) => {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    const text = rest + decoder.write(chunk);
    let answers = "";
    let start = 0;
    for (;;) {
      const end = text.indexOf("\n", start);
      if (end === -1) break;
      answers += answerTo(text.slice(start, end));
      start = end + 1;
    }
    rest = text.slice(start);
    if (answers !== "") socket.write(answers);
  });
};

function answerTo(line) {
  const { params } = JSON.parse(line);
  const max = Number(params.max);
  if (!Number.isInteger(max) || max <= 0) throw new Error("max");
  const { messageId } = params;
  return `${JSON.stringify({ max, half: max / 2, context: "response", messageId })}\r\n`;
}

const secure = process.env.BENCH_TLS;
const server = secure
  ? tls.createServer(JSON.parse(secure), onClient)
  : net.createServer(onClient);
server.listen(0, "127.0.0.1", () => report(server.address().port));
