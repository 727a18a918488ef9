/** The certificates of a TLS server: from files or from memory, one per host name, replaceable while it runs. */
import * as tls from "node:tls";
import { readCertificateFiles } from "../certificateFiles";
import type { SocketServerOptions } from "../../config/settingTypes";

export class Certificates {
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
