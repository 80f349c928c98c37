import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { SecureVersion } from "node:tls";
import { PasswordThread, type Peer } from "./password-client.js";

export interface TlsSettings {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly minVersion: SecureVersion;
}

export interface WebConfig {
  readonly tls: TlsSettings | undefined;
  /** Bcrypt hashes by user name; if there are none, no password is needed. */
  readonly users: ReadonlyMap<string, string>;
}

/** Neither TLS nor passwords. */
export const OPEN: WebConfig = { tls: undefined, users: new Map() };

/** A hash that no password has. Checking it makes refusing an unknown user take as long as a known one. */
const NOBODY = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
const MAX_REMEMBERED = 100;

/** "no": a password is needed. "too many": the password was not checked. */
type Admission = "yes" | "no" | "too many";

/** Checks passwords. bcrypt is slow on purpose, so it runs on another thread, and right passwords are remembered. */
export class BasicAuth {
  readonly #users: ReadonlyMap<string, string>;
  readonly #thread: Pick<PasswordThread, "check" | "close">;
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, Buffer>();

  constructor(
    users: ReadonlyMap<string, string>,
    thread: Pick<PasswordThread, "check" | "close"> = new PasswordThread(),
  ) {
    this.#users = users;
    this.#thread = thread;
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  /** Whether to admit a request with this Authorization header. */
  async admits(authorization: string | undefined, peer: Peer): Promise<Admission> {
    if (this.#users.size === 0) {
      return "yes";
    }
    const encoded = /^Basic ([A-Za-z0-9+/=]{1,1024})$/i.exec(authorization ?? "")?.[1];
    if (encoded === undefined) {
      return "no";
    }
    const text = Buffer.from(encoded, "base64").toString();
    const colon = text.indexOf(":");
    const name = text.slice(0, Math.max(0, colon));
    const hash = this.#users.get(name);
    const digest = createHmac("sha256", this.#key).update(text).digest();
    const known = this.#right.get(name);
    if (known !== undefined && timingSafeEqual(known, digest)) {
      return "yes";
    }
    const isRight = await this.#thread.check(text.slice(colon + 1), hash ?? NOBODY, peer);
    if (isRight === undefined) {
      return "too many";
    }
    if (!isRight || hash === undefined) {
      return "no";
    }
    if (this.#right.size >= MAX_REMEMBERED) {
      this.#right.clear();
    }
    this.#right.set(name, digest);
    return "yes";
  }
}
