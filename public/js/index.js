// Asks for the status once a second: by WebSocket while that is connected, else by HTTP.
const PERIOD_MS = 1000;
const ANSWER_MS = 1500;
const element = (id) => document.getElementById(id);
let socket = null;

function show(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
}

// a line may break before the port, not within it
function showId(id) {
  if (element("id").textContent === id) return;
  const parts = id.split(/(?<=:)/);
  element("id").replaceChildren(
    ...parts.flatMap((part) => [part, document.createElement("wbr")]),
  );
}

function setState(isGood, text) {
  element("state").dataset.state = isGood ? "good" : "bad";
  show("state", text);
}

function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ];
  const from = parts.findIndex(([value]) => value > 0);
  const shown = from < 0 ? parts.slice(3) : parts.slice(from);
  return shown.map(([value, unit]) => value + unit).join(" ");
}

// a server that hides how it is built does not describe its API either
function showDescribed(isDescribed) {
  for (const link of document.querySelectorAll("[data-describes]"))
    link.hidden = !isDescribed;
}

// all that a server says which hides how it is built (general.introspection)
function showHealth(status) {
  element("figures").hidden = true;
  showDescribed(false);
  setState(status === "healthy", status);
}

function showStatus(status) {
  if (status.status) return showHealth(status.status);
  element("figures").hidden = false;
  showDescribed(true);
  show("name", status.name);
  document.title = status.name;
  show("description", status.description || "");
  show("uptime", duration(status.uptime));
  show("memory", status.consumedMemoryMB + " MB");
  show("jobs", String(status.resqueTotalQueueLength));
  show("version", status.version);
  show("actionhero", status.actionheroVersion);
  showId(status.id);
  const problems = status.problems || [];
  setState(problems.length === 0, status.nodeStatus);
  element("problems").hidden = problems.length === 0;
  element("problems").replaceChildren(
    ...problems.map((problem) => {
      const item = document.createElement("li");
      item.textContent = problem;
      return item;
    }),
  );
}

function askBySocket() {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("no answer")), ANSWER_MS);
    socket.action("status", {}, (status) => {
      clearTimeout(timer);
      resolve(status);
    });
  });
}

async function askByHttp() {
  const response = await fetch("/api/status", {
    cache: "no-store",
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  return response.json();
}

async function refresh() {
  const isLive = socket !== null && socket.state === "connected";
  try {
    const status = await (isLive ? askBySocket() : askByHttp());
    if (status.error) throw new Error(status.error);
    showStatus(status);
    show("transport", isLive ? "live by WebSocket" : "asked by HTTP");
  } catch (error) {
    setState(false, "no answer from the server");
    show("transport", "");
  }
  setTimeout(refresh, PERIOD_MS);
}

function connect() {
  socket = new window.ActionheroWebsocketClient();
  socket.on("error", () => {});
  socket.connect(() => {});
}

const script = document.createElement("script");
script.src = "/public/javascript/ActionheroWebsocketClient.js";
script.onload = connect;
document.head.append(script);
refresh();
