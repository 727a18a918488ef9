/** The listening side: creates the TCP or TLS server, and tracks every socket from its first packet. */
import * as net from "node:net";
import * as tls from "node:tls";
import { api } from "../../api";
import type { SocketServerOptions } from "../../config/types";
import { logDisconnect } from "../../log/refusals";
import { overloadedError } from "../../overload/overload";
import { serveWhenBooted, isBooting, STARTING_TEXT } from "../booting";
import { readCertificateFiles, stopListening } from "../listen";
import { admitConnection } from "../proxies";

interface ListenerEvents {
  /** The type of the server. */
  type: string;
  /** Called for a new client; over TLS after its handshake. */
  onClient(socket: net.Socket): void;
  /** The maximum number of sockets; 0 for no limit. */
  maxConnections(): number;
  log(message: string, severity: "warning", data: object): void;
}

/** How long a TLS handshake may take, in ms. */
const HANDSHAKE_TIMEOUT_MS = 30_000;

/** Sent to plain clients beyond the limit; TLS clients are closed before their handshake. */
const TOO_MANY = lineOf("too many connections");

const STARTING = lineOf(STARTING_TEXT);

export class Listener {
  readonly server: net.Server;
  /** Clients, including those still in their handshake. */
  private readonly sockets = new Set<net.Socket>();
  private readonly certificates?: Certificates;

  /** @throws Error for invalid certificates */
  constructor(
    options: SocketServerOptions,
    isSecure: boolean,
    private readonly events: ListenerEvents,
  ) {
    if (isSecure) {
      this.certificates = new Certificates({
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        ...options,
        allowHalfOpen: false, // in the handshake a client that closes its side is gone
      });
      this.server = tls.createServer(this.certificates.serverOptions());
      this.watchTls(this.server as tls.Server);
    } else {
      this.server = net.createServer({ ...options, allowHalfOpen: true });
      this.server.on("connection", (socket: net.Socket) => {
        if (this.admit(socket)) this.introduce(socket);
        else socket.end(TOO_MANY, () => socket.destroy());
      });
    }
  }

  /** Use other certificates, or the current contents of the files, for new connections. */
  reloadCertificates(changes?: SocketServerOptions): void {
    if (!this.certificates)
      throw new Error(
        "the socket server is not secure: it has no certificates",
      );
    this.certificates.reload(this.server as tls.Server, changes);
  }

  /** Stop listening; resolves when the last socket is closed. */
  close(): Promise<void> {
    return stopListening(this.server);
  }

  destroySockets(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private watchTls(server: tls.Server): void {
    server.on("connection", (socket: net.Socket) => {
      if (!this.admit(socket)) socket.destroy();
    });
    server.on("secureConnection", (socket) => this.introduce(socket));
    server.on("tlsClientError", (error, socket) => {
      logDisconnect(
        this.events,
        socket,
        `TLS handshake failed: ${explain(error)}`,
      );
      socket.destroy();
    });
  }

  /** Clients are refused while the server is overloaded, and while it boots, except for this process itself. */
  private introduce(socket: net.Socket): void {
    const { overload } = api;
    if (overload?.isOverloaded === true) {
      socket.on("error", ignore);
      const { message } = overloadedError(overload);
      socket.end(lineOf(message), () => socket.destroy());
      return;
    }
    socket.allowHalfOpen = true; // a client may close its side before it has received its responses
    if (!isBooting()) return this.events.onClient(socket);
    socket.on("error", ignore);
    const serve = () => {
      socket.off("error", ignore);
      if (!socket.destroyed) this.events.onClient(socket);
    };
    const refuse = () => socket.end(STARTING, () => socket.destroy());
    setImmediate(() => serveWhenBooted(socket, serve, refuse));
  }

  private admit(socket: net.Socket): boolean {
    const max = this.events.maxConnections();
    if (max > 0 && this.sockets.size >= max) {
      logDisconnect(
        this.events,
        socket,
        `refused a client: there are ${max} already (maxConnections)`,
      );
      socket.on("error", ignore);
      return false;
    }
    if (!admitConnection(socket)) {
      socket.on("error", ignore);
      return false;
    }
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    return true;
  }
}

function lineOf(error: string): string {
  return `${JSON.stringify({ error, context: "api" })}\r\n`;
}

/** OpenSSL's unclear error codes for plain text. */
const PLAIN_TEXT_CODES = [
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_UNSUPPORTED_PROTOCOL",
];

function explain(error: NodeJS.ErrnoException & { reason?: string }): string {
  const { code = "", reason, message } = error;
  return PLAIN_TEXT_CODES.includes(code)
    ? `the client does not speak TLS (${code})`
    : (reason ?? message);
}

function ignore(): void {
  // the client is being refused
}

// --- The certificates of a TLS server: from files or from memory, one per host name, replaceable while it runs.

class Certificates {
  private hosts = new Map<string, tls.SecureContext>();

  /** @throws Error when a file cannot be read, or key and certificate do not match */
  constructor(private options: SocketServerOptions) {
    this.hosts = contextsOf(options);
  }

  /** The options of `tls.createServer`. */
  serverOptions(): tls.TlsOptions {
    const options: tls.TlsOptions = { ...readCertificateFiles(this.options) };
    // also checks them, so that a server never starts with a key that does not match the certificate
    tls.createSecureContext(options);
    if (!this.options.SNICallback && this.options.hosts)
      options.SNICallback = (name, done) => done(null, this.contextFor(name));
    return options;
  }

  /**
   * Use new certificates for new connections; open connections keep theirs.
   * @param changes replace single options; without them, the files are read again
   * @throws Error like the constructor; the old certificates stay in use
   */
  reload(server: tls.Server, changes: SocketServerOptions = {}): void {
    const options = { ...this.options, ...changes };
    const hosts = contextsOf(options);
    const pem = readCertificateFiles(options);
    tls.createSecureContext(pem);
    server.setSecureContext(pem);
    this.hosts = hosts;
    this.options = options;
  }

  private contextFor(name: string): tls.SecureContext | undefined {
    const host = name.toLowerCase();
    return (
      this.hosts.get(host) ??
      this.hosts.get(`*${host.slice(Math.max(0, host.indexOf(".")))}`)
    );
  }
}

function contextsOf({
  hosts = {},
}: SocketServerOptions): Map<string, tls.SecureContext> {
  return new Map(
    Object.entries(hosts).map(([name, settings]) => [
      name.toLowerCase(),
      tls.createSecureContext(readCertificateFiles(settings)),
    ]),
  );
}
