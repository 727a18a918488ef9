const ROOM = "defaultRoom";
const MEMBERS_PERIOD_MS = 2000;
const element = (id) => document.getElementById(id);
let client;
let refreshing;

function nameOf(id) {
  if (id === client.id) return "you";
  if (String(id) === "0") return "server";
  let hash = 0;
  for (const char of String(id)) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return "guest " + hash.toString(36).slice(-4);
}

function setState(isGood, text) {
  element("state").dataset.state = isGood ? "good" : "bad";
  element("state").textContent = text;
  element("text").disabled = !isGood;
  element("send").disabled = !isGood;
}

function add(text, className, who) {
  const list = element("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const item = document.createElement("li");
  item.className = className;
  if (who) {
    const small = document.createElement("small");
    small.textContent = who;
    item.append(small);
  }
  item.append(text);
  list.append(item);
  if (atEnd || className === "mine") list.scrollTop = list.scrollHeight;
}

function showMessage({ room, from, message, sentAt }) {
  if (room !== ROOM) return;
  const text = typeof message === "string" ? message : JSON.stringify(message);
  const time = new Date(sentAt).toLocaleTimeString([], {
    timeStyle: "short",
  });
  add(text, from === client.id ? "mine" : "theirs", nameOf(from) + ", " + time);
}

function showMembers({ data }) {
  if (!data) return;
  const ids = Object.keys(data.members).sort((a, b) =>
    a === client.id ? -1 : b === client.id ? 1 : 0,
  );
  element("count").textContent = String(data.membersCount);
  element("people").replaceChildren(
    ...ids.map((id) => {
      const item = document.createElement("li");
      item.textContent = nameOf(id);
      return item;
    }),
  );
}

function refreshMembers() {
  if (client.state === "connected") client.roomView(ROOM, showMembers);
}

function join() {
  client.action("createChatRoom", { name: ROOM }, () => {
    client.roomAdd(ROOM, ({ error }) => {
      if (error && !/already in this room/.test(error)) {
        setState(false, String(error));
        return;
      }
      setState(true, "connected");
      refreshMembers();
    });
  });
}

function start() {
  client = new window.ActionheroWebsocketClient();
  client.on("connected", join);
  client.on("reconnect", join);
  client.on("disconnected", () => setState(false, "disconnected"));
  client.on("reconnecting", () => setState(false, "connecting again"));
  client.on("error", () => {
    if (client.state !== "connected") setState(false, "no connection");
  });
  client.on("say", showMessage);
  client.on("welcome", ({ welcome }) => add(welcome, "note"));
  client.connect(() => {});
  refreshing ??= setInterval(refreshMembers, MEMBERS_PERIOD_MS);
}

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (!text) return;
  client.say(ROOM, text, ({ error }) => {
    if (error) add(String(error), "note");
  });
  element("text").value = "";
  element("text").focus();
});

const script = document.createElement("script");
script.src = "/public/javascript/ActionheroWebsocketClient.js";
script.onload = start;
script.onerror = () => setState(false, "the WebSocket server is off");
document.head.append(script);
