/** The program of RemoteNode: starts the server of the actionhero it is given and runs what the test tells it to. */
const entry = process.argv[2];
const actionhero = require(entry);
const app = new actionhero.Process();

/** An error as the test sees it. */
function describe(error) {
  return { message: String(error?.message ?? error), code: error?.code };
}

async function run(source, args) {
  // the test's function, sent as its text
  const task = (0, eval)(`(${source})`);
  return task(actionhero, ...args);
}

process.on("message", ({ id, source, args }) => {
  run(source, args).then(
    (result) => process.send({ id, result }),
    (error) => process.send({ id, error: describe(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.on("unhandledRejection", (error) => {
  console.error(`unhandledRejection: ${error?.stack ?? error}`);
});

app.start().then(
  () => process.send({ ready: true }),
  (error) => process.send({ ready: false, error: describe(error) }),
);
