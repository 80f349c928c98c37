import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { parse } from "yaml";
import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { printable } from "../text.js";
import { OPEN, type TlsSettings, type WebConfig } from "./basic-auth.js";

const english = en().localeError;

/** Versions of TLS as Prometheus' exporters name them, and as Node does. */
const VERSIONS = { TLS12: "TLSv1.2", TLS13: "TLSv1.3" } as const;

const HASH = /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/;

const Name = z.string().check(z.minLength(1));

/** The part of the format of Prometheus' exporter-toolkit that is supported. */
const WebConfigSchema = z.strictObject({
  tls_server_config: z.optional(
    z.strictObject({
      cert_file: Name,
      key_file: Name,
      client_ca_file: z.optional(Name),
      client_auth_type: z.optional(z.enum(["NoClientCert", "RequireAndVerifyClientCert"])),
      min_version: z.optional(z.enum(["TLS12", "TLS13"])),
    }),
  ),
  basic_auth_users: z.optional(
    z.record(Name, z.string().check(z.regex(HASH, "expected a bcrypt hash"))),
  ),
});

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

/** Throws if a server could not use them: the key of another certificate, or no PEM. */
function refuseMismatch(path: string, tls: TlsSettings): void {
  try {
    createSecureContext({ ...tls });
  } catch (error) {
    throw fail(path, `tls_server_config: ${printable(messageOf(error))}`, error);
  }
}

/** Reads a web-config.yml; "" stands for an empty one. Paths in it are relative to its directory. */
export function readWebConfig(path: string): WebConfig {
  if (path === "") {
    return OPEN;
  }
  const result = WebConfigSchema.safeParse(parseYaml(path), { error: english });
  if (!result.success) {
    const issue = result.error.issues[0];
    const place = issue?.path.length ? `${issue.path.join(".")}: ` : "";
    throw fail(path, `${printable(place)}${printable(issue?.message ?? "not as expected")}`);
  }
  const { tls_server_config: server, basic_auth_users: users } = result.data;
  const fileOf = (name: string): Buffer => readBytes(resolve(dirname(path), name));
  const isVerified = server?.client_auth_type === "RequireAndVerifyClientCert";
  if (isVerified && !server.client_ca_file) {
    throw fail(path, "tls_server_config: client_auth_type needs a client_ca_file");
  }
  if (server?.client_ca_file && !isVerified) {
    const needed = "client_auth_type: RequireAndVerifyClientCert";
    throw fail(path, `tls_server_config: client_ca_file needs ${needed}`);
  }
  const tls = server && {
    cert: fileOf(server.cert_file),
    key: fileOf(server.key_file),
    ...(server.client_ca_file === undefined ? {} : { ca: fileOf(server.client_ca_file) }),
    requestCert: isVerified,
    rejectUnauthorized: isVerified,
    minVersion: VERSIONS[server.min_version ?? "TLS12"],
  };
  if (tls !== undefined) {
    refuseMismatch(path, tls);
  }
  return { users: new Map(Object.entries(users ?? {})), tls };
}
