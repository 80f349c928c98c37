import { EventEmitter } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { hashSync } from "bcryptjs";
import { describe, expect, it } from "vitest";
import { VprocfsError } from "../../src/errors.js";
import { installed } from "../../src/layout.js";
import { BasicAuth } from "../../src/metrics/basic-auth.js";
import { PasswordThread, userOf } from "../../src/metrics/password-client.js";
import { readWebConfig } from "../../src/metrics/web-config.js";
import { haveProgram, output } from "../support/command.js";
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

  describe.runIf(haveProgram("openssl"))("with certificates", () => {
    async function pem(): Promise<{ cert: string; key: string }> {
      const directory = temporaryDirectory(testScope(), "pem");
      const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
      await output([
        ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
        ...["-subj", "/CN=localhost", "-keyout", key, "-out", cert],
      ]);
      return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
    }

    it("reads them beside itself, and hashes", async () => {
      const { cert, key } = await pem();
      const path = written(
        `tls_server_config:
  cert_file: cert.pem
  key_file: key.pem
  min_version: TLS13
basic_auth_users:
  prometheus: ${HASH}
`,
        { "cert.pem": cert, "key.pem": key },
      );
      const { tls, users } = readWebConfig(path);
      expect(tls).toMatchObject({ minVersion: "TLSv1.3", requestCert: false });
      expect(tls?.cert.toString()).toBe(cert);
      expect(tls?.key.toString()).toBe(key);
      expect([...users]).toEqual([["prometheus", HASH]]);
    });

    it("refuses the key of another one", async () => {
      const [one, other] = [await pem(), await pem()];
      const text = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n";
      const path = written(text, { "cert.pem": one.cert, "key.pem": other.key });
      expect(() => readWebConfig(path)).toThrow(/^.*: tls_server_config: .*key values mismatch$/);
    });
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
    [
      "an authority by which nobody is verified",
      "tls_server_config: {cert_file: a, key_file: b, client_ca_file: c}\n",
      /client_ca_file needs client_auth_type/,
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

describe("BasicAuth", () => {
  const PEER = { address: "192.0.2.1", port: 4711 };

  function doorFor(users: ReadonlyMap<string, string>): BasicAuth {
    const door = new BasicAuth(users);
    testScope().defer(() => door.close());
    return door;
  }

  it("admits everybody when there are no names", async () => {
    expect(await doorFor(new Map()).admits(undefined, PEER)).toBe("yes");
  });

  it("admits who knows the password, again and again", async () => {
    const door = doorFor(new Map([["prometheus", HASH]]));
    expect(await door.admits(basic("prometheus", "secret"), PEER)).toBe("yes");
    expect(await door.admits(basic("prometheus", "secret"), PEER)).toBe("yes");
    expect(await door.admits(basic("prometheus", "other"), PEER)).toBe("no");
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
    const door = doorFor(new Map([["prometheus", HASH]]));
    expect(await door.admits(authorization, PEER)).toBe("no");
  });

  it("has wrong passwords of one client keep neither the thread nor another client", async () => {
    const door = doorFor(new Map([["prometheus", hashSync("secret", 10)]]));
    const begun = performance.now();
    const wrong = Array.from({ length: 60 }, (_, i) =>
      door.admits(basic("prometheus", `${i}`), PEER),
    );
    const right = door.admits(basic("prometheus", "secret"), { ...PEER, address: "192.0.2.2" });
    expect(await right).toBe("yes");
    const took = performance.now() - begun;
    // What was right is known at once, whatever else waits.
    expect(await door.admits(basic("prometheus", "secret"), PEER)).toBe("yes");
    const all = await Promise.all(wrong);
    expect(all.filter((admission) => admission === "too many").length).toBeGreaterThanOrEqual(50);
    expect(took).toBeLessThan(performance.now() - begun);
  });

  it("tells users of one host apart by the port that they come from", () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 0100007F:2621 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:C350 0100007F:2621 01 00000000:00000000 00:00000000 00000000  1000        0 2
`;
    expect(userOf(50_000, ["", table])).toBe("1000");
    expect(userOf(50_001, [table])).toBe("");
  });
});

describe("PasswordThread", () => {
  const PEER = { address: "192.0.2.1", port: 4711 };

  it("checks again as soon as the host has a thread to give", async () => {
    let hasThreads = false;
    const passwords = new PasswordThread(() => {
      if (!hasThreads) {
        throw new Error("no thread");
      }
      return new Worker(installed("dist/password-thread.js"));
    });
    testScope().defer(() => passwords.close());
    // More than may be under way at a time.
    for (let times = 0; times < 300; times += 1) {
      expect(await passwords.check("secret", HASH, PEER)).toBeUndefined();
    }
    hasThreads = true;
    expect(await passwords.check("secret", HASH, PEER)).toBe(true);
  });

  it("is not given up when the thread before it has ended", async () => {
    const threads: EventEmitter[] = [];
    const passwords = new PasswordThread(() => {
      const thread = new EventEmitter();
      threads.push(thread);
      const idle = { postMessage: () => {}, terminate: async () => 0, unref: () => {} };
      return Object.assign(thread, idle) as unknown as Worker;
    });
    testScope().defer(() => passwords.close());
    const first = passwords.check("secret", HASH, PEER);
    threads[0]?.emit("error", new Error("failed"));
    expect(await first).toBeUndefined();
    const second = passwords.check("secret", HASH, PEER);
    threads[0]?.emit("exit", 1);
    threads[1]?.emit("message", { id: 2, isRight: true });
    expect(await second).toBe(true);
  });
});
