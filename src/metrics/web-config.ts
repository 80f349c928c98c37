import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { SecureVersion } from "node:tls";
import { parse } from "yaml";
import { z } from "zod";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { printable } from "../text.js";
import { PasswordThread, type Peer } from "./password-client.js";

/** As exporters name versions, and as Node does. */
const VERSIONS = { TLS12: "TLSv1.2", TLS13: "TLSv1.3" } as const;

const HASH = /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/;

/** What of Prometheus' exporter-toolkit is understood here. */
const WebConfigSchema = z.strictObject({
  tls_server_config: z
    .strictObject({
      cert_file: z.string().min(1),
      key_file: z.string().min(1),
      client_ca_file: z.string().min(1).optional(),
      client_auth_type: z.enum(["NoClientCert", "RequireAndVerifyClientCert"]).optional(),
      min_version: z.enum(["TLS12", "TLS13"]).optional(),
    })
    .optional(),
  basic_auth_users: z
    .record(z.string().min(1), z.string().regex(HASH, "expected a bcrypt hash"))
    .optional(),
});

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
  /** Bcrypt hashes by name; nobody needs a password when there are none. */
  readonly users: ReadonlyMap<string, string>;
}

function fail(path: string, reason: string, cause?: unknown): VprocfsError {
  return new VprocfsError("CONFIG", `${printable(path)}: ${reason}`, { cause });
}

function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fail(path, errnoOf(error) === "ENOENT" ? "no such file" : messageOf(error), error);
  }
}

function parseYaml(path: string): unknown {
  try {
    return parse(readBytes(path).toString(), { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    if (error instanceof VprocfsError) {
      throw error;
    }
    const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw fail(path, printable(line.replace(/:$/, "")), error);
  }
}

/** Reads a web-config.yml; "" is an empty one. Paths in it are relative to its directory. */
export function readWebConfig(path: string): WebConfig {
  if (path === "") {
    return { tls: undefined, users: new Map() };
  }
  const result = WebConfigSchema.safeParse(parseYaml(path));
  if (!result.success) {
    const issue = result.error.issues[0];
    const place = issue?.path.length ? `${issue.path.join(".")}: ` : "";
    throw fail(path, `${printable(place)}${printable(issue?.message ?? "not as expected")}`);
  }
  const { tls_server_config: server, basic_auth_users: users } = result.data;
  const fileOf = (name: string): Buffer => readBytes(resolve(dirname(path), name));
  if (server?.client_auth_type === "RequireAndVerifyClientCert" && !server.client_ca_file) {
    throw fail(path, "tls_server_config: client_auth_type needs a client_ca_file");
  }
  const isVerified = server?.client_auth_type === "RequireAndVerifyClientCert";
  return {
    users: new Map(Object.entries(users ?? {})),
    tls: server && {
      cert: fileOf(server.cert_file),
      key: fileOf(server.key_file),
      ...(server.client_ca_file === undefined ? {} : { ca: fileOf(server.client_ca_file) }),
      requestCert: isVerified,
      rejectUnauthorized: isVerified,
      minVersion: VERSIONS[server.min_version ?? "TLS12"],
    },
  };
}

/** A hash of no password, so that unknown users take as long to refuse as known ones. */
const NOBODY = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";
const MOST_REMEMBERED = 100;

/** Admitted, to be asked for a password, or refused without a look at it. */
export type Admission = "yes" | "no" | "too many";

/**
 * Checks passwords; bcrypt is slow on purpose, so that it runs on another thread, and what was
 * right once is remembered.
 */
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

  /** Whether a request with this Authorization header may come in. */
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
    if (this.#right.size >= MOST_REMEMBERED) {
      this.#right.clear();
    }
    this.#right.set(name, digest);
    return "yes";
  }
}
