/** Keys and certificates that settings name by their files. */
import * as fs from "node:fs";
import type { SecureContextOptions } from "node:tls";

/** A certificate and its key, in memory (`key`, `cert`, ...) or by the names of files. */
export interface CertificateSettings extends SecureContextOptions {
  /** Path of a PEM file. */
  keyFile?: string;
  certFile?: string;
  /** Whose client certificates are accepted. */
  caFile?: string;
}

/**
 * The same settings with the contents of the named files.
 * @throws Error when one cannot be read
 */
export function readCertificateFiles<Settings extends CertificateSettings>(
  settings: Settings,
): Settings {
  const { keyFile, certFile, caFile } = settings;
  const read = { ...settings };
  if (keyFile) read.key = fs.readFileSync(keyFile);
  if (certFile) read.cert = fs.readFileSync(certFile);
  if (caFile) read.ca = fs.readFileSync(caFile);
  return read;
}
