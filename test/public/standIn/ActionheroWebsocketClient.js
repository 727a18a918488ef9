/* global BroadcastChannel, localStorage, URLSearchParams */
/**
 * Has the methods of the websocket client that the pages use, between pages of one browser: for what the pages do with
 * it, without a server's part in it.
 */
window.ActionheroWebsocketClient = class {
  constructor() {
    this.id = "id-" + Math.random().toString(36).slice(2);
    this.state = "disconnected";
    this.handlers = {};
    this.channel = new BroadcastChannel("chat");
    this.channel.onmessage = ({ data }) => this.emit("say", data);
  }

  on(event, handler) {
    (this.handlers[event] ??= []).push(handler);
  }

  emit(event, data) {
    for (const handler of this.handlers[event] ?? []) handler(data);
  }

  connect(callback) {
    this.state = "connected";
    this.emit("welcome", { welcome: "Welcome to the stand-in" });
    this.emit("connected");
    callback(null, {});
  }

  async action(name, params, callback) {
    const query = new URLSearchParams(params);
    callback(await (await fetch("/api/" + name + "?" + query)).json());
  }

  roomAdd(room, callback) {
    const members = JSON.parse(localStorage.getItem(room) ?? "{}");
    members[this.id] = { joinedAt: Date.now() };
    localStorage.setItem(room, JSON.stringify(members));
    callback({ status: "OK" });
  }

  roomView(room, callback) {
    const members = JSON.parse(localStorage.getItem(room) ?? "{}");
    const membersCount = Object.keys(members).length;
    callback({ status: "OK", data: { room, members, membersCount } });
  }

  say(room, message, callback) {
    const data = { room, message, from: this.id, sentAt: Date.now() };
    this.channel.postMessage(data);
    this.emit("say", data);
    callback({ status: "OK" });
  }
};
