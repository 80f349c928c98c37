import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashSync } from "bcryptjs";
import { describe, expect, it } from "vitest";
import { VprocfsError } from "../../src/errors.js";
import { Doorkeeper, readWebConfig } from "../../src/metrics/web-config.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";

const HASH = hashSync("secret", 4);

function written(text: string, others: Readonly<Record<string, string>> = {}): string {
  const directory = temporaryDirectory(testScope(), "web");
  const path = join(directory, "web-config.yml");
  writeFileSync(path, text);
  for (const [name, content] of Object.entries(others)) {
    writeFileSync(join(directory, name), content);
  }
  return path;
}

function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}

describe("readWebConfig", () => {
  it("is empty without a file, and for an empty file", () => {
    const none = { tls: undefined, users: new Map() };
    expect(readWebConfig("")).toEqual(none);
    expect(readWebConfig(written(""))).toEqual(none);
  });

  it("reads certificates beside itself, and hashes", () => {
    const path = written(
      `tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  min_version: TLS13
basic_auth_users:
  prometheus: ${HASH}
`,
      { "cert.pem": "CERT", "key.pem": "KEY" },
    );
    const { tls, users } = readWebConfig(path);
    expect(tls).toMatchObject({ minVersion: "TLSv1.3", requestCert: false });
    expect(tls?.cert.toString()).toBe("CERT");
    expect(tls?.key.toString()).toBe("KEY");
    expect([...users]).toEqual([["prometheus", HASH]]);
  });

  it.each([
    ["an unknown key", "tls_config: {}\n", /Unrecognized key/],
    ["a missing key file", "tls_server_config: {cert_file: a}\n", /tls_server_config\.key_file/],
    [
      "a certificate that is not there",
      "tls_server_config: {cert_file: a, key_file: b}\n",
      /a: no such file/,
    ],
    ["a password in the clear", "basic_auth_users: {prometheus: secret}\n", /bcrypt/],
    ["a list", "- a\n", /expected object/],
    ["what is no YAML", "a: [\n", /\w/],
    ["aliases", "a: &a {}\nb: *a\n", /alias|Unrecognized/i],
    [
      "verified clients without an authority",
      "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}\n",
      /client_ca_file/,
    ],
  ])("refuses %s in one line", (_what, text, expected) => {
    let error: unknown;
    try {
      readWebConfig(written(text));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(VprocfsError);
    expect((error as VprocfsError).code).toBe("CONFIG");
    expect((error as VprocfsError).message).toMatch(expected);
    expect((error as VprocfsError).message).not.toContain("\n");
  });
});

describe("Doorkeeper", () => {
  it("admits everybody when there are no names", async () => {
    expect(await new Doorkeeper(new Map()).admits(undefined)).toBe(true);
  });

  it("admits who knows the password, again and again", async () => {
    const door = new Doorkeeper(new Map([["prometheus", HASH]]));
    expect(await door.admits(basic("prometheus", "secret"))).toBe(true);
    expect(await door.admits(basic("prometheus", "secret"))).toBe(true);
    expect(await door.admits(basic("prometheus", "other"))).toBe(false);
  });

  it.each([
    undefined,
    "",
    "Bearer x",
    "Basic",
    "Basic !",
    basic("prometheus", ""),
    basic("nobody", "secret"),
    basic("", "secret"),
    `Basic ${"A".repeat(2000)}`,
  ])("refuses %j", async (authorization) => {
    const door = new Doorkeeper(new Map([["prometheus", HASH]]));
    expect(await door.admits(authorization)).toBe(false);
  });
});
