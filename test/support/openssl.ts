/** Certificates made by the `openssl` program, for tests that need several. */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

/** Whether an openssl program is on the PATH. */
export const hasOpenssl =
  spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0;

export interface CertificateFiles {
  keyFile: string;
  certFile: string;
}

/** A folder of certificates. */
export class CertificateFolder {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "certificates-"));

  /** A self-signed certificate; made again, the files of the same name are replaced. */
  make(name: string, serial: number, host = name): CertificateFiles {
    const keyFile = path.join(this.folder, `${name}.key`);
    const certFile = path.join(this.folder, `${name}.cert`);
    execFileSync(
      "openssl",
      [
        "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 3650",
        `-set_serial ${serial} -subj /CN=${host} -addext subjectAltName=DNS:${host}`,
        `-keyout ${keyFile} -out ${certFile}`,
      ]
        .join(" ")
        .split(" "),
      { stdio: "ignore" },
    );
    return { keyFile, certFile };
  }

  remove(): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
