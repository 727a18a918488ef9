/** What the socket server reads from `config.socket`: any of it may be missing when a project brings its own file. */
import type { TlsOptions } from "node:tls";
import type { CertificateSettings } from "../certificateFiles";
import type { ListenSettings } from "../listen";

export type SocketServerOptions = Partial<TlsOptions> &
  CertificateSettings & {
    /** Certificates of other host names; `*.example.com` is every name one level below. */
    hosts?: { [hostName: string]: CertificateSettings };
  };

export interface SocketConfig extends ListenSettings {
  /** Undefined: on in development only, and only when the port is free. */
  enabled?: boolean;
  secure?: boolean;
  serverOptions?: SocketServerOptions;
  setKeepAlive?: boolean;
  delimiter?: string;
  maxDataLength?: number;
  maxParamBytes?: number;
  maxConnections?: number;
  idleTimeout?: number;
  maxBufferedBytes?: number;
  sendTimeout?: number;
  pingInterval?: number;
  /** Tell clients what version 3 told them, too. */
  legacyReplies?: boolean;
  /** Verbs beside the usual ones. */
  verbs?: string[];
}

/** Used when a project's `config.socket` lacks the key; config/socket.ts says what each means. */
export const SOCKET_DEFAULTS = {
  port: 5000,
  delimiter: "\n",
  maxDataLength: 1024 * 1024,
  maxParamBytes: 0,
  maxBufferedBytes: 16 * 1024 * 1024,
  sendTimeout: 120_000,
} as const;

/** After how long a silence the operating system asks whether a peer still lives, in ms. */
export const KEEP_ALIVE_AFTER_MS = 60_000;

/** Anything but `false` is secure, except a value that the project's config does not have at all. */
export function isSecure({ secure }: SocketConfig): boolean {
  return secure !== false && secure !== undefined;
}
