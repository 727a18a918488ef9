/** Keys and certificates that settings name by their files. */
import * as fs from "node:fs";
import type { CertificateSettings } from "../config/settingTypes";

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
