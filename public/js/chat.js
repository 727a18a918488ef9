// A chat room over a websocket. Messages are texts; with a nickname they are JSON: {"name": ..., "text": ...}.
const ROOM = "defaultRoom";
const MEMBERS_PERIOD_MS = 2000;
const MAX_TEXT = 2000;
const MAX_NAME = 40;
const MAX_SHOWN = 500;
// messages that survive a reload
const MAX_KEPT = 50;
const KEPT_AS = "actionhero.chat.messages";
const NICKNAME_AS = "actionhero.chat.nickname";
const element = (id) => document.getElementById(id);
const nicknames = new Map();
let kept = [];
let client;
let refreshing;
// focus the field as soon as it is enabled: after the page has loaded, and when disabling it took the focus away
let isFocusDue = true;

// storage is "localStorage" or "sessionStorage", which browsers may forbid
function read(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

function write(storage, key, text) {
  try {
    window[storage].setItem(key, text);
  } catch {
    // forbidden or full: nothing survives the next reload
  }
}

function nickname() {
  return element("nickname").value.trim().slice(0, MAX_NAME);
}

// nicknames are not unique, so they are shown with a tag made from the id of the connection
function nameOf(id) {
  if (id === client.id) return "you";
  if (String(id) === "0") return "server";
  let hash = 0;
  for (const char of String(id)) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  const tag = hash.toString(36).slice(-4);
  const name = nicknames.get(id);
  return name ? name + " (" + tag + ")" : "guest " + tag;
}

function setState(isGood, text) {
  const field = element("text");
  isFocusDue ||= document.activeElement === field;
  element("state").dataset.state = isGood ? "good" : "bad";
  element("state").textContent = text;
  field.disabled = !isGood;
  element("send").disabled = !isGood;
  if (!isGood) return;
  if (isFocusDue && document.activeElement === document.body) field.focus();
  isFocusDue = false;
}

function add(text, className, who) {
  const log = element("log");
  const list = element("messages");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const item = document.createElement("li");
  item.className = className;
  if (who) {
    const small = document.createElement("small");
    small.textContent = who;
    item.append(small);
  }
  item.append(text);
  list.append(item);
  while (list.childElementCount > MAX_SHOWN) list.firstElementChild.remove();
  if (atEnd || className === "mine") log.scrollTop = log.scrollHeight;
}

// the text of a message and the nickname of its sender, if there is one
function partsOf(message) {
  const text = typeof message === "string" ? message : JSON.stringify(message);
  if (!text.startsWith("{")) return { text };
  try {
    const said = JSON.parse(text);
    if (typeof said.name === "string" && typeof said.text === "string")
      return { text: said.text, name: said.name.trim().slice(0, MAX_NAME) };
  } catch {
    // not JSON: a text that begins with a brace
  }
  return { text };
}

function hear({ room, from, message, sentAt }) {
  if (room !== ROOM) return;
  const { text, name } = partsOf(message);
  if (name) nicknames.set(from, name);
  else nicknames.delete(from);
  const time = new Date(sentAt).toLocaleTimeString([], {
    timeStyle: "short",
  });
  const who = nameOf(from) + ", " + time;
  const className = from === client.id ? "mine" : "theirs";
  add(text, className, who);
  kept.push({ text: text.slice(0, MAX_TEXT), className, who });
  kept = kept.slice(-MAX_KEPT);
  write("sessionStorage", KEPT_AS, JSON.stringify(kept));
}

function isKept(entry) {
  return (
    ["mine", "theirs"].includes(entry?.className) &&
    typeof entry.text === "string" &&
    typeof entry.who === "string"
  );
}

// screen readers do not announce messages that were read before the reload
function showKept() {
  try {
    kept = JSON.parse(read("sessionStorage", KEPT_AS) ?? "[]").filter(isKept);
  } catch {
    kept = [];
  }
  element("log").setAttribute("aria-live", "off");
  for (const { text, className, who } of kept) add(text, className, who);
  setTimeout(() => element("log").setAttribute("aria-live", "polite"));
}

function showMembers({ data }) {
  if (!data?.members) return; // a middleware may refuse this client
  for (const id of nicknames.keys())
    if (!Object.hasOwn(data.members, id)) nicknames.delete(id);
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
  client.on("say", hear);
  client.on("welcome", ({ welcome }) => add(welcome, "note"));
  client.connect(() => {});
  refreshing ??= setInterval(refreshMembers, MEMBERS_PERIOD_MS);
}

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (!text) return;
  const name = nickname();
  const message = name ? JSON.stringify({ name, text }) : text;
  client.say(ROOM, message, ({ error }) => {
    if (error) add(String(error), "note");
  });
  element("text").value = "";
  element("text").focus();
});

element("nickname").value = read("localStorage", NICKNAME_AS) ?? "";
element("nickname").addEventListener("input", () =>
  write("localStorage", NICKNAME_AS, nickname()),
);
element("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  element("text").focus();
});
showKept();

const script = document.createElement("script");
script.src = "/public/javascript/ActionheroWebsocketClient.js";
script.onload = start;
script.onerror = () => setState(false, "the WebSocket server is off");
document.head.append(script);
