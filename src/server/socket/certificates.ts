/** The certificates of a TLS server: from files or from memory, one per host name, replaceable while it runs. */
import * as fs from "node:fs";
import * as tls from "node:tls";
import type { SocketServerOptions } from "./socketConfig";

/** A certificate and its key, in memory (`key`, `cert`, ...) or by the names of files. */
export interface CertificateSettings extends tls.SecureContextOptions {
  /** Path of a PEM file, read at the start and at each reload. */
  keyFile?: string;
  certFile?: string;
  /** Whose client certificates are accepted. */
  caFile?: string;
}

export class Certificates {
  private hosts = new Map<string, tls.SecureContext>();

  /** @throws Error when a file cannot be read, or key and certificate do not match */
  constructor(private options: SocketServerOptions) {
    this.hosts = contextsOf(options);
  }

  /** What `tls.createServer` takes. */
  serverOptions(): tls.TlsOptions {
    const options: tls.TlsOptions = { ...readFiles(this.options) };
    // also checks them, so that a server never starts with a key that is not the certificate's
    tls.createSecureContext(options);
    if (!this.options.SNICallback && this.options.hosts)
      options.SNICallback = (name, done) => done(null, this.contextFor(name));
    return options;
  }

  /**
   * Use new certificates for connections from now on; those that are open keep theirs.
   * @param changes replace single options; without them the files are read anew
   * @throws Error as the constructor; the old certificates stay
   */
  reload(server: tls.Server, changes: SocketServerOptions = {}): void {
    const options = { ...this.options, ...changes };
    const hosts = contextsOf(options);
    const pem = readFiles(options);
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
      tls.createSecureContext(readFiles(settings)),
    ]),
  );
}

/** The same options with the contents of the named files. */
function readFiles<Settings extends CertificateSettings>(
  settings: Settings,
): Settings {
  const { keyFile, certFile, caFile } = settings;
  const read = { ...settings };
  if (keyFile) read.key = fs.readFileSync(keyFile);
  if (certFile) read.cert = fs.readFileSync(certFile);
  if (caFile) read.ca = fs.readFileSync(caFile);
  return read;
}
