/**
 * A client of the Primus wire format for browsers and node, with the names that scripts know from Primus: `connect`,
 * `open`, `end`, `write`, `id`, `on`. It reconnects by itself unless the server says that it must not.
 *
 * Events: `open`, `data`, `error`, `close` (the connection is lost), `reconnect scheduled`, `reconnect` (an attempt
 * begins), `reconnected`, `reconnect timeout`, `reconnect failed`, `timeout`, `online`, `offline`, `end` (it does not reconnect).
 *
 * @param {Function} WebSocket the class to connect with
 * @param {{pathname: string, pingTimeout: number}} server what the server is set to; pingTimeout in ms, 0 for none
 */
function definePrimus(WebSocket, server) {
  "use strict";

  var OPENING = 1;
  var CLOSED = 2;
  var OPEN = 3;

  /** Small, as node's is not there in browsers; an `error` without a listener is not thrown. */
  function EventEmitter() {
    this._listeners = new Map();
  }

  EventEmitter.prototype = {
    constructor: EventEmitter,

    listeners: function (event) {
      var entries = (this._listeners && this._listeners.get(event)) || [];
      return entries.map(function (entry) {
        return entry.listener;
      });
    },

    listenerCount: function (event) {
      return this.listeners(event).length;
    },

    eventNames: function () {
      return Array.from((this._listeners || new Map()).keys());
    },

    on: function (event, listener, context) {
      return this._add(event, listener, context, false);
    },

    once: function (event, listener, context) {
      return this._add(event, listener, context, true);
    },

    removeListener: function (event, listener) {
      var entries = (this._listeners && this._listeners.get(event)) || [];
      var rest = entries.filter(function (entry) {
        return entry.listener !== listener;
      });
      if (rest.length > 0) this._listeners.set(event, rest);
      else if (this._listeners) this._listeners.delete(event);
      return this;
    },

    removeAllListeners: function (event) {
      if (event === undefined || !this._listeners) this._listeners = new Map();
      else this._listeners.delete(event);
      return this;
    },

    emit: function (event) {
      var entries = this._listeners && this._listeners.get(event);
      if (!entries) return false;
      var args = Array.prototype.slice.call(arguments, 1);
      for (var entry of entries.slice()) {
        if (entry.once) this.removeListener(event, entry.listener);
        entry.listener.apply(entry.context || this, args);
      }
      return true;
    },

    // made here, as those who inherit from this may not call the constructor
    _add: function (event, listener, context, once) {
      if (!this._listeners) this._listeners = new Map();
      var entry = { listener: listener, context: context, once: once };
      this._listeners.set(
        event,
        (this._listeners.get(event) || []).concat(entry),
      );
      return this;
    },
  };
  EventEmitter.prototype.addListener = EventEmitter.prototype.on;
  EventEmitter.prototype.off = EventEmitter.prototype.removeListener;

  function Primus(url, options) {
    if (!(this instanceof Primus)) return new Primus(url, options);
    EventEmitter.call(this);
    if (url !== null && typeof url === "object") {
      options = url;
      url = options.url;
    }
    options = options || {};
    var reconnect = options.reconnect || {};
    this.options = options;
    this.url = url || currentOrigin();
    this.pathname = options.pathname || server.pathname;
    this.readyState = CLOSED;
    this.buffer = [];
    this.queueSize = numberOf(options.queueSize, Infinity);
    this.strategies = strategiesOf(options.strategy);
    // all in ms; the first attempt comes after `min` at the latest, the later ones ever later
    this.timing = {
      connect: numberOf(options.timeout, 10000),
      ping:
        options.pingTimeout === false
          ? 0
          : numberOf(options.pingTimeout, server.pingTimeout),
      min: numberOf(reconnect.min, 500),
      max: numberOf(reconnect.max, Infinity),
      factor: numberOf(reconnect.factor, 2),
      retries: numberOf(reconnect.retries, 10),
      attempt: numberOf(reconnect["reconnect timeout"], 30000),
    };
    this._timers = {};
    this._attempt = 0;
    this._socket = null;
    this._wasOpen = false;
    this._watchNetwork();
    if (options.manual !== true)
      this._timers.open = setTimeout(openLater, 0, this);
  }

  Primus.prototype = Object.create(EventEmitter.prototype);
  Object.assign(Primus.prototype, {
    constructor: Primus,

    /** Connect. */
    open: function () {
      this._clear("open");
      if (this._socket || this._attempt > 0) return this;
      this._start(this.timing.connect, "timeout");
      return this;
    },

    /** Send a value; while there is no connection it waits. False when it can be neither. */
    write: function (data) {
      var text = encode(data);
      if (text === undefined) return false;
      if (this.readyState === OPEN) this._socket.send(text);
      else if (this.buffer.length >= this.queueSize) return false;
      else this.buffer.push(text);
      return true;
    },

    /** Ask for the id that the server knows this connection by. */
    id: function (callback) {
      this._once("id", callback);
      if (this.readyState === OPEN) this._socket.send('"primus::id::"');
      return this;
    },

    /** Close without reconnecting, after sending `data` if there is any. */
    end: function (data) {
      if (data !== undefined) this.write(data);
      var wasActive = this._socket !== null || this._attempt > 0;
      var wasOpen = this.readyState === OPEN;
      this._drop();
      this._clearAll();
      this._attempt = 0;
      this._wasOpen = false;
      this.buffer = [];
      if (!wasActive) return this;
      if (wasOpen) this.emit("close");
      this.emit("end");
      return this;
    },

    /** What is needed to call `emit` later, for callers that are used to it. */
    emits: function (event) {
      return this.emit.bind(this, event);
    },

    _once: function (event, callback) {
      this.once("primus::" + event, callback);
      return this;
    },

    _start: function (timeoutMs, timeoutEvent) {
      var primus = this;
      var socket;
      this.readyState = OPENING;
      try {
        socket = new WebSocket(this._address());
      } catch (error) {
        return this._failed(error);
      }
      socket.binaryType = "arraybuffer";
      this._socket = socket;
      socket.onopen = function () {
        if (primus._socket === socket) primus._opened();
      };
      socket.onmessage = function (event) {
        if (primus._socket === socket) primus._received(event.data);
      };
      socket.onerror = function (event) {
        if (primus._socket !== socket) return;
        primus.emit("error", event.error || new Error("connection failed"));
      };
      socket.onclose = function () {
        if (primus._socket === socket) primus._closed();
      };
      this._timer("connect", timeoutMs, function () {
        primus._drop();
        primus.emit(timeoutEvent, primus._progress());
        primus._lost("timeout");
      });
    },

    _failed: function (error) {
      this.emit("error", error);
      this._closed();
    },

    _opened: function () {
      var attempt = this._attempt;
      this._clear("connect");
      this._attempt = 0;
      this._wasOpen = true;
      this.readyState = OPEN;
      this._expectPing();
      if (attempt > 0) this.emit("reconnected", this._progress(attempt));
      this.emit("open");
      if (this.listenerCount("primus::id") > 0)
        this._socket.send('"primus::id::"');
      var waiting = this.buffer;
      this.buffer = [];
      while (this.readyState === OPEN && waiting.length > 0)
        this._socket.send(waiting.shift());
      this.buffer = waiting.concat(this.buffer);
    },

    _received: function (text) {
      var message;
      try {
        message = JSON.parse(text);
      } catch (error) {
        return this.emit("error", error);
      }
      if (typeof message !== "string" || message.indexOf("primus::") !== 0)
        return this.emit("data", message, text);
      if (message.indexOf("primus::ping::") === 0) {
        this._socket.send(JSON.stringify("primus::pong::" + message.slice(14)));
        this._expectPing();
      } else if (message === "primus::server::close") this.end();
      else if (message.indexOf("primus::id::") === 0)
        this.emit("primus::id", message.slice(12));
    },

    /** A server that has gone without a word is noticed by its silence. */
    _expectPing: function () {
      var primus = this;
      this._clear("ping");
      if (!(this.timing.ping > 0)) return;
      this._timer("ping", this.timing.ping, function () {
        primus._drop();
        primus.emit("offline");
        primus.emit("close");
        primus._lost("disconnect");
      });
    },

    _closed: function () {
      var wasOpen = this.readyState === OPEN;
      var isFirst = !wasOpen && this._attempt === 0;
      this._drop();
      if (wasOpen) this.emit("close");
      this._lost(isFirst && !this._wasOpen ? "timeout" : "disconnect");
    },

    /** Try again later, or give up. */
    _lost: function (strategy) {
      if (this._socket !== null) return;
      if (this._attempt === 0 && !this.strategies[strategy]) {
        this.emit("end");
        return;
      }
      if (this._attempt >= this.timing.retries) {
        var failed = this._progress();
        this._attempt = 0;
        this._wasOpen = false;
        this.emit("reconnect failed", new Error("unable to reconnect"), failed);
        this.emit("end");
        return;
      }
      this._attempt++;
      var primus = this;
      var delay = this._delay();
      this._timer("reconnect", delay, function () {
        primus.emit("reconnect", primus._progress());
        // a listener may have ended it
        if (primus._attempt > 0 && !primus._socket)
          primus._start(primus.timing.attempt, "reconnect timeout");
      });
      this.emit("reconnect scheduled", this._progress(this._attempt, delay));
    },

    /** Longer with each attempt, and by chance, so that the clients of a server that was restarted do not come at once. */
    _delay: function () {
      var timing = this.timing;
      var full = timing.min * Math.pow(timing.factor, this._attempt - 1);
      return Math.round(Math.min(timing.max, full * (0.5 + Math.random())));
    },

    _progress: function (attempt, delay) {
      return {
        attempt: attempt === undefined ? this._attempt : attempt,
        retries: this.timing.retries,
        scheduled: delay,
      };
    },

    _address: function () {
      var url = new URL(this.url, currentOrigin() || undefined);
      var secure = url.protocol === "https:" || url.protocol === "wss:";
      var query = url.search ? url.search.slice(1) + "&" : "";
      var breaker =
        Date.now().toString(36) + Math.random().toString(36).slice(2, 8);
      return (
        (secure ? "wss://" : "ws://") +
        url.host +
        this.pathname +
        "?" +
        query +
        "_primuscb=" +
        breaker
      );
    },

    /** Forget the socket; what it still says is not listened to. */
    _drop: function () {
      var socket = this._socket;
      this._socket = null;
      this.readyState = CLOSED;
      this._clear("connect");
      this._clear("ping");
      if (!socket) return;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.onerror = function () {};
      socket.close();
    },

    /** Back on the network, there is no need to wait for the next attempt. */
    _watchNetwork: function () {
      var primus = this;
      if (this.options.network === false) return;
      if (typeof window === "undefined" || !window.addEventListener) return;
      window.addEventListener("offline", function () {
        if (primus.readyState !== OPEN) return;
        primus._drop();
        primus.emit("offline");
        primus.emit("close");
        primus._lost("online");
      });
      window.addEventListener("online", function () {
        if (primus._socket || primus._attempt === 0) return;
        primus._clear("reconnect");
        primus.emit("online");
        primus.emit("reconnect", primus._progress());
        if (primus._attempt > 0 && !primus._socket)
          primus._start(primus.timing.attempt, "reconnect timeout");
      });
    },

    _timer: function (name, ms, callback) {
      this._clear(name);
      if (ms > 0 && ms < Infinity)
        this._timers[name] = setTimeout(callback, ms);
    },

    _clear: function (name) {
      clearTimeout(this._timers[name]);
      delete this._timers[name];
    },

    _clearAll: function () {
      for (var name of Object.keys(this._timers)) this._clear(name);
    },
  });

  function openLater(primus) {
    primus.open();
  }

  function encode(data) {
    try {
      var text = JSON.stringify(data);
      return (
        text && text.replace(/\u2028/g, "\\u2028").replace(/\u2029/g, "\\u2029")
      );
    } catch {
      return undefined;
    }
  }

  function numberOf(value, fallback) {
    return typeof value === "number" ? value : fallback;
  }

  /** When to connect again: all three cases unless named otherwise; false for never. */
  function strategiesOf(strategy) {
    if (strategy === undefined) strategy = "disconnect,online,timeout";
    var names = Array.isArray(strategy)
      ? strategy
      : String(strategy || "").split(/[\s,]+/);
    var strategies = { disconnect: false, online: false, timeout: false };
    for (var name of names) {
      if (Object.hasOwn(strategies, name)) strategies[name] = true;
    }
    return strategies;
  }

  function currentOrigin() {
    return typeof window === "object" && window.location
      ? window.location.href
      : "";
  }

  Primus.connect = function (url, options) {
    return new Primus(url, options);
  };
  Primus.EventEmitter = EventEmitter;
  Primus.OPENING = OPENING;
  Primus.CLOSED = CLOSED;
  Primus.OPEN = OPEN;
  Primus.prototype.OPENING = OPENING;
  Primus.prototype.CLOSED = CLOSED;
  Primus.prototype.OPEN = OPEN;
  return Primus;
}

if (typeof module === "object") module.exports = definePrimus;
