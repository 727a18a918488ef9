/**
 * The client of a server: actions, rooms and files over one websocket, and actions over HTTP while there is none.
 *
 * Every request takes a callback, which gets the server's response. Without one it returns a promise, which a response
 * with an `error` rejects; `error.response` is that response.
 *
 * Events: `connected`, `reconnecting`, `reconnect` (it is there again, in its rooms), `disconnected`, `timeout`,
 * `error`, `message` (everything), `welcome`, `say` (rooms), `alert` and `api` (pushed by the server).
 *
 * @param {{EventEmitter: Function, connect: Function, defaults: object}} environment what to inherit from, how to
 *   connect (a function of a URL and options that returns a client of the wire format), the options of new clients
 */
function defineWebsocketClient(environment) {
  "use strict";

  // the longest time of timers, in ms: those of a longer one end at once
  const timerMs = (ms) => Math.min(ms, 2 ** 31 - 1);

  const DEFAULTS = {
    url: "",
    apiPath: "/api",
    cookieKey: "sessionID",
    // how long a response may take, in ms; 0 for any time
    requestTimeout: 60000,
    // how many requests wait for the connection to come back
    queueSize: 1000,
    // how long connect() waits for the connection, in ms; 0 for any time
    timeout: 10000,
    // go on when the first attempt of connect() fails
    retryFirst: true,
    // after 500 ms, later and later, every 30 s in the end, until the server is there again
    reconnect: { min: 500, max: 30000, retries: Infinity },
  };

  const LOST = "the connection was lost before the server answered";
  const LATE = "the server did not answer in time";
  const CLOSED = "the client is disconnected";
  const UNREACHABLE = "the server cannot be reached";
  const UNSENDABLE = "the request cannot be written as JSON";
  const FULL = "too many requests wait for the connection";

  // what has waited goes out bit by bit: servers bound how many messages a second may have
  const FLUSH_COUNT = 100;
  const FLUSH_PAUSE_MS = 1000;

  function noop() {}

  function failed(response) {
    const reason = response.error;
    const text =
      (reason && (reason.message || reason.statusText)) || String(reason);
    return Object.assign(new Error(text), { response });
  }

  /** A rejection without a handler must not end the process. */
  function quiet(promise) {
    promise.catch(noop);
    return promise;
  }

  class ActionheroWebsocketClient extends environment.EventEmitter {
    /**
     * @param {object} [options] `url` of the server, and the options of the connection
     * @param {object} [client] a custom connection, which this client does not open
     */
    constructor(options, client) {
      super();
      this.callbacks = Object.create(null); // callers may choose ids
      this.id = null;
      this.fingerprint = null;
      this.events = {};
      this.rooms = [];
      this.state = "disconnected";
      this.options = Object.assign({}, DEFAULTS, environment.defaults, options);
      this.messageId = 0;
      this.welcomeMessage = null;
      this.externalClient = Boolean(client);
      this.client = client || null;

      this._attached = [];
      this._queue = [];
      this._sent = new Set();
      this._opening = null;
      this._hasConnected = false;
      this._lastError = undefined;
      this._flushing = undefined;
      this._isAway = false;
      this._unwatchPage = noop;
    }

    /**
     * Connect, and stay connected until `disconnect` or until the server says that it must not reconnect. An error after
     * `timeout` ms does not end the attempts, unless `retryFirst` is false: then the first that fails is the last.
     * @param {function(Error?, object?)} [callback] gets what `detailsView` answers
     */
    connect(callback) {
      this._abandon(new Error("connect was called again"));
      this._lost();
      this._detach();
      if (this.client) this.client.end();
      this._hasConnected = false;
      this._lastError = undefined;
      const opened = new Promise((resolve, reject) => {
        this._opening = { resolve, reject, timer: this._startDeadline() };
      });
      if (!this.externalClient)
        this.client = environment.connect(
          this.urlWithSession(),
          this._connectionOptions(),
        );
      this._attach();
      if (this.externalClient) this.client.open();
      this._watchPage();

      if (typeof callback !== "function") return quiet(opened);
      opened.then((details) => callback(null, details), callback);
    }

    /** Close without reconnecting, and leave all rooms. Requests without a response get an error. */
    disconnect() {
      this.rooms = [];
      this._detach();
      if (this.client) this.client.end();
      this._ended();
    }

    /** Browsers keep a page that is left, with its connection, to show it again: meanwhile it is in no rooms. */
    _watchPage() {
      this._unwatchPage();
      this._isAway = false;
      if (typeof window === "undefined" || !window.addEventListener) return;
      const hide = () => this._pause();
      const show = () => this._resume();
      window.addEventListener("pagehide", hide);
      window.addEventListener("pageshow", show);
      this._unwatchPage = () => {
        window.removeEventListener("pagehide", hide);
        window.removeEventListener("pageshow", show);
        this._unwatchPage = noop;
      };
    }

    _pause() {
      if (this._isAway) return;
      this._isAway = true;
      this._detach();
      this.client.end();
      this._lost();
      this.state = "reconnecting"; // as far as the page knows
    }

    _resume() {
      if (!this._isAway) return;
      this._isAway = false;
      this._attach();
      this.client.open();
    }

    /** The URL, with the session of the page's cookie. */
    urlWithSession() {
      const { url, cookieKey } = this.options;
      const session = cookieKey ? this.getCookie(cookieKey) : undefined;
      if (!session) return url;
      return `${url}?${encodeURIComponent(cookieKey)}=${encodeURIComponent(session)}`;
    }

    getCookie(name) {
      if (typeof document === "undefined" || !document.cookie) return undefined;
      for (const pair of document.cookie.split(";")) {
        const end = pair.indexOf("=");
        if (end === -1 || pair.slice(0, end).trim() !== name) continue;
        const value = pair.slice(end + 1).trim();
        try {
          return decodeURIComponent(value);
        } catch {
          return value; // not encoded
        }
      }
      return undefined;
    }

    /** Join all rooms (again), and learn who we are. */
    configure(callback) {
      const rooms = this.rooms.slice();
      let missing = rooms.length;
      const learn = () => this._learn(callback || noop);
      // the server may look at our rooms before it has let us into them
      const joined = () => --missing === 0 && learn();
      for (const room of rooms) this._write({ event: "roomAdd", room }, joined);
      if (rooms.length === 0) learn();
    }

    /**
     * Send anything; while there is no connection it waits.
     * @param {object} args `event` and what it needs; `messageId` is added
     * @param {function(object)} [callback] gets the response
     * @param {boolean} [isNumbered] `params.messageId` is a param of the action, and not the id of the request
     */
    send(args, callback, isNumbered) {
      // what still waits goes first
      const isWaiting = this.state !== "connected" || this._queue.length > 0;
      const id = this._prepare(args, callback, isNumbered);
      if (!isWaiting) this._transmit(args);
      else if (this._queue.length < this.options.queueSize)
        this._queue.push(args);
      else this._settle(id, FULL, "UNREACHABLE");
    }

    /** A project's own client may return nothing. */
    _transmit(args) {
      if (this.client.write(args) === false)
        this._settle(args.messageId, UNSENDABLE, "UNSUPPORTED");
    }

    /** @returns whether the request still waited for the connection; it is not sent then */
    withdraw(messageId) {
      const waited = this._queue.some((args) => args.messageId === messageId);
      this._queue = this._queue.filter((args) => args.messageId !== messageId);
      if (waited) this.forget(messageId);
      return waited;
    }

    /** Nobody waits for the response any more. */
    forget(messageId) {
      this._sent.delete(messageId);
      delete this.callbacks[messageId];
    }

    /** What waits for the connection fails; attempts to connect go on. */
    failWaiting(reason) {
      for (const { messageId } of this._queue.splice(0))
        this._settle(messageId, String(reason), "UNREACHABLE");
    }

    /** Run an action, over HTTP while there is no connection. */
    action(action, params, callback) {
      if (typeof params === "function") {
        callback = params;
        params = undefined;
      }
      params = Object.assign({}, params, { action });
      if (this.state !== "connected") return this.actionWeb(params, callback);
      return this._request({ event: "action", params }, callback);
    }

    /** Run the action `params.action` over HTTP, as `params.httpMethod` (default POST). */
    actionWeb(params, callback) {
      const answer = this._fetch(params);
      if (typeof callback === "function") {
        void answer.then(callback);
        return undefined;
      }
      return quiet(
        answer.then((response) => {
          if (response && response.error) throw failed(response);
          return response;
        }),
      );
    }

    say(room, message, callback) {
      return this._request({ event: "say", room, message }, callback);
    }

    /** Get a public file; `content` is its text. */
    file(file, callback) {
      return this._request({ event: "file", file }, callback);
    }

    detailsView(callback) {
      return this._request({ event: "detailsView" }, callback);
    }

    roomView(room, callback) {
      return this._request({ event: "roomView", room }, callback);
    }

    roomAdd(room, callback) {
      return this._moving({ event: "roomAdd", room }, callback);
    }

    roomLeave(room, callback) {
      this.rooms = this.rooms.filter((one) => one !== room);
      return this._moving({ event: "roomLeave", room }, callback);
    }

    documentation(callback) {
      return this._request({ event: "documentation" }, callback);
    }

    // ---- requests and their responses

    _request(args, callback) {
      if (typeof callback === "function") {
        this.send(args, callback);
        return undefined;
      }
      return quiet(
        new Promise((resolve, reject) => {
          this.send(args, (response) => {
            if (response.error) reject(failed(response));
            else resolve(response);
          });
        }),
      );
    }

    /** A request after which the rooms are others; they are known before the answer is given. */
    _moving(args, callback) {
      const moved = (done) => (response) => {
        if (this.state !== "connected") done(response);
        else this._learn(() => done(response));
      };
      if (typeof callback === "function") {
        this.send(args, moved(callback));
        return undefined;
      }
      return quiet(
        new Promise((resolve, reject) => {
          const done = (response) =>
            response.error ? reject(failed(response)) : resolve(response);
          this.send(args, moved(done));
        }),
      );
    }

    /** Number a request, and remember who waits for its response. */
    _prepare(args, callback, isNumbered) {
      this.messageId++;
      const own =
        args.params && !isNumbered ? args.params.messageId : undefined;
      const id = own || args.messageId || this.messageId;
      args.messageId = id;
      if (typeof callback !== "function") return id;

      const { requestTimeout } = this.options;
      const late = () => {
        this._queue = this._queue.filter((waiting) => waiting !== args);
        if (this.callbacks[id] === settle) this._settle(id, LATE, "TIMEOUT");
        else callback({ error: LATE, messageId: id, context: "response" });
      };
      const timer =
        requestTimeout > 0 && setTimeout(late, timerMs(requestTimeout));
      const settle = (response) => {
        clearTimeout(timer);
        callback(response);
      };
      this.callbacks[id] = settle;
      this._sent.add(id);
      return id;
    }

    /** Answer a request ourselves; `failure` tells why, and is not seen by those who list the keys of a response. */
    _settle(id, error, failure) {
      const response = { error, messageId: id, context: "response" };
      Object.defineProperty(response, "failure", { value: failure });
      this._respond(response);
    }

    _respond(response) {
      const id = response.messageId;
      this._sent.delete(id);
      if (!Object.prototype.hasOwnProperty.call(this.callbacks, id)) return;
      const callback = this.callbacks[id];
      delete this.callbacks[id];
      if (typeof callback === "function") callback(response);
    }

    /** Send at once, connected or not: what makes a connection usable cannot wait until it is. */
    _write(args, callback) {
      this._prepare(args, callback);
      this.client.write(args);
    }

    /** Learn our id, fingerprint and rooms. */
    _learn(callback) {
      this._write({ event: "detailsView" }, (details) => {
        if (details.data) {
          this.id = details.data.id;
          this.fingerprint = details.data.fingerprint;
          this.rooms = details.data.rooms;
        }
        callback(details);
      });
    }

    async _fetch(params) {
      const { url, apiPath, requestTimeout } = this.options;
      const { httpMethod, ...rest } = params;
      const method = String(httpMethod || "POST").toUpperCase();
      const hasBody = method !== "GET" && method !== "HEAD";
      const query = hasBody ? { action: params.action } : rest;
      const pairs = Object.entries(query).map(
        ([key, value]) =>
          `${encodeURIComponent(key)}=${encodeURIComponent(
            typeof value === "object" && value ? JSON.stringify(value) : value,
          )}`,
      );
      try {
        const response = await fetch(`${url}${apiPath}?${pairs.join("&")}`, {
          method,
          headers: { "Content-Type": "application/json" },
          body: hasBody ? JSON.stringify(rest) : undefined,
          signal:
            requestTimeout > 0
              ? AbortSignal.timeout(timerMs(requestTimeout))
              : undefined,
        });
        const text = await response.text();
        try {
          return JSON.parse(text);
        } catch {
          const { statusText } = response;
          return { error: { statusText, responseText: text } };
        }
      } catch (error) {
        const isLate = error.name === "TimeoutError";
        return { error: isLate ? LATE : `cannot reach the server: ${error}` };
      }
    }

    // ---- the connection

    _connectionOptions() {
      const { options } = this;
      return Object.assign({}, options, {
        queueSize: Infinity, // what waits, waits here
        reconnect: Object.assign({}, DEFAULTS.reconnect, options.reconnect),
      });
    }

    _attach() {
      const { client } = this;
      const on = (event, listener) => {
        client.on(event, listener);
        this._attached.push([event, listener]);
      };
      on("open", () => this._opened());
      on("data", (message) => this._received(message));
      on("error", (error) => this._failed(error));
      on("timeout", () => {
        this.state = "timeout";
        this.emit("timeout");
      });
      on("close", () => this._lost());
      on("reconnect scheduled", (progress) => {
        if (this._mayNotRetry()) return this._giveUp(this._unreachable());
        this._lost();
        this.state = "reconnecting";
        this.emit("reconnecting", progress);
      });
      on("end", () => {
        this._ended();
        this.emit("end");
      });
    }

    _detach() {
      for (const [event, listener] of this._attached)
        this.client.removeListener(event, listener);
      this._attached = [];
    }

    /** An open connection is used once the server has told who we are on it. */
    _opened() {
      this.configure((details) => {
        if (details.error) return; // lost again; the next one is announced by another `open`
        this.state = "connected";
        this._flush();
        const opening = this._closeOpening();
        this.emit(this._hasConnected ? "reconnect" : "connected");
        this._hasConnected = true;
        if (opening) opening.resolve(details);
      });
    }

    _startDeadline() {
      const { timeout } = this.options;
      if (!(timeout > 0)) return undefined;
      return setTimeout(() => {
        const error = this._unreachable(`within ${timeout} ms`);
        if (this._mayNotRetry()) this._giveUp(error);
        else this._abandon(error);
      }, timerMs(timeout));
    }

    /** Whether this is the first attempt of `connect`, and the only one. */
    _mayNotRetry() {
      return this.options.retryFirst === false && !this._hasConnected;
    }

    _giveUp(error) {
      this._abandon(error);
      this.disconnect();
    }

    _unreachable(when) {
      const cause = this._lastError;
      const parts = [UNREACHABLE, when, cause && `(${cause.message})`];
      const error = new Error(parts.filter(Boolean).join(" "));
      return Object.assign(error, { cause });
    }

    _flush() {
      clearTimeout(this._flushing);
      if (this.state !== "connected") return;
      const ready = this._queue.splice(0, FLUSH_COUNT);
      for (const args of ready) this._transmit(args);
      if (this._queue.length > 0)
        this._flushing = setTimeout(() => this._flush(), FLUSH_PAUSE_MS);
    }

    /** Fail the requests in flight; queued ones are sent over the next connection. */
    _lost() {
      const queued = new Set(this._queue.map((args) => args.messageId));
      const lost = [...this._sent].filter((id) => !queued.has(id));
      const wasConnected = this.state === "connected";
      // first, because callbacks may send the next request, which then waits
      if (wasConnected) this.state = "disconnected";
      for (const id of lost) this._settle(id, LOST, "CONNECTION_LOST");
      if (wasConnected) this.emit("disconnected");
    }

    _ended() {
      this._unwatchPage();
      this._isAway = false;
      this._lost();
      clearTimeout(this._flushing);
      this._queue = [];
      for (const id of [...this._sent]) this._settle(id, CLOSED, "CLOSED");
      this._abandon(new Error(CLOSED));
      if (this.state === "disconnected") return;
      this.state = "disconnected";
      this.emit("disconnected");
    }

    _abandon(error) {
      const opening = this._closeOpening();
      if (opening) opening.reject(error);
    }

    _closeOpening() {
      const opening = this._opening;
      this._opening = null;
      if (opening) clearTimeout(opening.timer);
      return opening;
    }

    /** Node's emitter throws an `error` without a listener. */
    _failed(error) {
      this._lastError = error;
      if (this.listeners("error").length > 0) this.emit("error", error);
    }

    _received(message) {
      this.emit("message", message);
      if (typeof message !== "object" || message === null) return;
      // the response of an action may have a `context` of its own
      const isAwaited = message.messageId in this.callbacks;
      if (message.context === "response" || isAwaited) this._respond(message);
      if (message.context === "response") return;
      if (message.context === "user") this.emit("say", message);
      else if (message.context === "alert") this.emit("alert", message);
      else if (message.context === "api" && message.welcome) {
        this.welcomeMessage = message.welcome;
        this.emit("welcome", message);
      } else if (message.context === "api") this.emit("api", message);
    }
  }

  return ActionheroWebsocketClient;
}

if (typeof module === "object") module.exports = defineWebsocketClient;
