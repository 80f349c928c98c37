import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { hashSync } from "bcryptjs";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../src/log.js";
import { parseAddress } from "../../src/metrics/address.js";
import { Exporter } from "../../src/metrics/exporter.js";
import type { Pages } from "../../src/metrics/server.js";
import { readWebConfig } from "../../src/metrics/web-config.js";
import { haveProgram, output } from "../support/command.js";
import { temporaryDirectory } from "../support/daemon.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const PAGES: Pages = {
  metrics: (format) => Promise.resolve(Buffer.from(`# ${format}\n`)),
  unready: () => Promise.resolve(undefined),
};

/** A port that nobody listens on just now. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

interface Started {
  readonly logs: string[];
  readonly exporter: Exporter;
}

function start(scope: Scope, address: string, pages = PAGES, webConfig = ""): Started {
  const logs: string[] = [];
  const log = createLogger("info", "json", { write: (line) => void logs.push(line) });
  const parsed = parseAddress(address);
  if (parsed === undefined) {
    throw new Error(`no address: ${address}`);
  }
  const web = readWebConfig(webConfig);
  const exporter = Exporter.start({ address: parsed, web, pages, log });
  scope.defer(() => exporter.close());
  return { logs, exporter };
}

interface Answer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

type Where = { readonly port: number } | { readonly socketPath: string };

function ask(
  where: Where,
  path: string,
  options: { headers?: Record<string, string>; method?: string; ca?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onResponse = (response: IncomingMessage): void => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode, type: response.headers["content-type"], body });
      });
    };
    const place = { host: "127.0.0.1", agent: false as const, path, ...where, ...options };
    const request =
      options.ca === undefined
        ? httpRequest(place, onResponse)
        : httpsRequest({ ...place, servername: "localhost" }, onResponse);
    request.on("error", reject).end();
  });
}

async function listening({ logs }: Started): Promise<void> {
  await until("metrics are served", () => logs.some((line) => line.includes("serving metrics")));
}

describe("the exporter", () => {
  it("serves its pages, and says what it does not have", async () => {
    const own = testScope();
    const port = await freePort();
    await listening(start(own, `127.0.0.1:${port}`));
    const where = { port };
    expect(await ask(where, "/metrics?x=1")).toEqual({
      status: 200,
      type: "text/plain; version=0.0.4; charset=utf-8",
      body: "# text\n",
    });
    const open = { headers: { Accept: "application/openmetrics-text" } };
    expect(await ask(where, "/metrics", open)).toMatchObject({
      type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
      body: "# openmetrics\n",
    });
    expect(await ask(where, "/healthz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await ask(where, "/readyz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await ask(where, "/")).toMatchObject({ status: 200 });
    expect(await ask(where, "/nothing")).toMatchObject({ status: 404 });
    expect(await ask(where, "/metrics", { method: "POST" })).toMatchObject({ status: 405 });
    expect(await ask(where, "/metrics", { method: "HEAD" })).toMatchObject({ body: "" });
  });

  it("answers what fails with an error, and goes on", async () => {
    const own = testScope();
    const port = await freePort();
    const pages = {
      metrics: () => Promise.reject(new Error("no figures")),
      unready: () => Promise.resolve("/mnt: does not answer"),
    };
    const started = start(own, `127.0.0.1:${port}`, pages);
    await listening(started);
    expect(await ask({ port }, "/metrics")).toMatchObject({ status: 500 });
    expect(await ask({ port }, "/readyz")).toMatchObject({
      status: 503,
      body: "/mnt: does not answer\n",
    });
    expect(started.logs.some((line) => line.includes("no figures"))).toBe(true);
  });

  it("warns once of an address in use and takes it when it is free", async () => {
    const own = testScope();
    const port = await freePort();
    const other = createServer().listen(port, "127.0.0.1");
    own.defer(() => other.close());
    const started = start(own, `127.0.0.1:${port}`);
    await until("it warns", () => started.logs.some((line) => line.includes("retrying")));
    expect(started.logs[0]).toContain("the address is in use");
    other.close();
    await listening(started);
    expect(started.logs.filter((line) => line.includes('"warn"'))).toHaveLength(1);
    expect(await ask({ port }, "/healthz")).toMatchObject({ status: 200 });
  });

  it("takes over from one that lets go, without a warning", async () => {
    const own = testScope();
    const port = await freePort();
    const first = start(own, `127.0.0.1:${port}`);
    await listening(first);
    const second = start(own, `127.0.0.1:${port}`);
    await first.exporter.close();
    await listening(second);
    expect(second.logs.filter((line) => line.includes('"warn"'))).toEqual([]);
  });

  it("warns once of an address that does not exist here", async () => {
    const own = testScope();
    const { logs } = start(own, "192.0.2.1:9761");
    await until("it warns", () => logs.some((line) => line.includes("EADDRNOTAVAIL")));
    expect(logs.filter((line) => line.includes("retrying"))).toHaveLength(1);
  });

  it("warns of an address that others can reach", async () => {
    const own = testScope();
    const port = await freePort();
    const started = start(own, `:${port}`);
    await listening(started);
    expect(started.logs[0]).toContain("metrics are open to other hosts without TLS or passwords");
    expect(await ask({ port }, "/healthz")).toMatchObject({ status: 200 });
  });

  it("serves on a unix socket, also where a dead one lies", async () => {
    const own = testScope();
    const socketPath = join(temporaryDirectory(own, "socket"), "metrics.sock");
    const dead =
      'const s = require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))';
    await output([process.execPath, "-e", dead, socketPath]).catch(() => "");
    expect(existsSync(socketPath)).toBe(true);
    const started = start(own, `unix:${socketPath}`);
    await listening(started);
    expect(statSync(socketPath).mode & 0o777).toBe(0o660);
    expect(await ask({ socketPath }, "/metrics")).toMatchObject({ status: 200 });
    const next = start(own, `unix:${socketPath}`);
    await started.exporter.close();
    await listening(next);
    expect(await ask({ socketPath }, "/metrics")).toMatchObject({ status: 200 });
    await next.exporter.close();
    expect(existsSync(socketPath)).toBe(false);
  });

  it("leaves alone what is no socket", async () => {
    const own = testScope();
    const directory = temporaryDirectory(own, "socket");
    const file = join(directory, "file");
    writeFileSync(file, "of somebody");
    for (const path of [file, directory]) {
      const { exporter, logs } = start(own, `unix:${path}`);
      await until("it says so", () =>
        logs.some((line) => line.includes("cannot serve metrics yet")),
      );
      await exporter.close();
    }
    expect(readFileSync(file, "utf8")).toBe("of somebody");
    expect(statSync(directory).isDirectory()).toBe(true);
  });

  it("is not held up by scrapers that never read, nor held open by them", async () => {
    const own = testScope();
    const port = await freePort();
    const big = Buffer.alloc(8 << 20, "x");
    const pages = { ...PAGES, metrics: () => Promise.resolve(big) };
    const { exporter, logs } = start(own, `127.0.0.1:${port}`, pages);
    await listening({ exporter, logs });
    const sockets = Array.from({ length: 10 }, () => {
      const socket = createConnection(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.pause();
      socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
      own.defer(() => socket.destroy());
      return socket;
    });
    await until("all are connected", () => sockets.every((socket) => !socket.connecting));
    expect((await ask({ port }, "/metrics")).body).toHaveLength(8 << 20);
    await exporter.close();
  });

  it("lets scrapers in among silent and deaf connections of anybody, and says so", async () => {
    const own = testScope();
    const port = await freePort();
    const started = start(own, `127.0.0.1:${port}`);
    await listening(started);
    for (const text of ["", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"]) {
      const sockets = Array.from({ length: 80 }, () => {
        const socket = createConnection(port, "127.0.0.1");
        own.defer(() => void socket.destroy());
        socket.on("error", () => {}).pause();
        return socket.write(text) && socket;
      });
      await until("they are there", () => sockets.every((one) => one && !one.connecting));
      const answers = await Promise.all(Array.from({ length: 5 }, () => ask({ port }, "/metrics")));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    }
    const told = started.logs.filter((line) => line.includes("too many connections"));
    expect(told).toHaveLength(1);
  });

  /** A certificate for localhost, and the web configuration that uses it with a password. */
  async function withTls(own: Scope): Promise<{ readonly ca: string; readonly webConfig: string }> {
    const directory = temporaryDirectory(own, "tls");
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    await output([
      ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
      ...["-keyout", key, "-out", cert],
    ]);
    const webConfig = join(directory, "web.yml");
    writeFileSync(
      webConfig,
      `tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users:\n  prom: ${hashSync("pass", 4)}\n`,
    );
    return { ca: await output(["cat", cert]), webConfig };
  }

  const AUTHORIZED = { Authorization: `Basic ${Buffer.from("prom:pass").toString("base64")}` };

  it.runIf(haveProgram("openssl"))("asks for a password over TLS when it is told to", async () => {
    const own = testScope();
    const { ca, webConfig } = await withTls(own);
    const port = await freePort();
    const started = start(own, `127.0.0.1:${port}`, PAGES, webConfig);
    await listening(started);
    expect(await ask({ port }, "/metrics", { ca })).toMatchObject({ status: 401 });
    const authorized = await ask({ port }, "/metrics", { ca, headers: AUTHORIZED });
    expect(authorized).toMatchObject({ status: 200 });
    await expect(ask({ port }, "/metrics")).rejects.toThrow();
  });

  it.runIf(haveProgram("openssl"))("ends while a client with TLS says nothing", async () => {
    const own = testScope();
    const { ca, webConfig } = await withTls(own);
    const port = await freePort();
    const started = start(own, `127.0.0.1:${port}`, PAGES, webConfig);
    await listening(started);
    const silent = createConnection({ port, host: "127.0.0.1" });
    own.defer(() => silent.destroy());
    const ended = new Promise((resolve) => silent.on("error", resolve).on("close", resolve));
    // Whoever came later has been admitted after it.
    expect(await ask({ port }, "/metrics", { ca })).toMatchObject({ status: 401 });
    const begun = performance.now();
    await started.exporter.close();
    await ended;
    // Node's own limit is ten seconds.
    expect(performance.now() - begun).toBeLessThan(5000);
  });

  it.runIf(haveProgram("openssl"))("answers beside handshakes that come to nothing", async () => {
    const own = testScope();
    const { ca, webConfig } = await withTls(own);
    const port = await freePort();
    const started = start(own, `127.0.0.1:${port}`, PAGES, webConfig);
    await listening(started);
    // A record of 512 bytes that announces a ClientHello, and no more of it than this.
    const begun = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    const sockets: Socket[] = [];
    own.defer(() => {
      for (const socket of sockets) {
        socket.destroy();
      }
    });
    const isRight = async (): Promise<void> => {
      for (let round = 0; round < 3; round += 1) {
        const answer = await ask({ port }, "/metrics", { ca, headers: AUTHORIZED });
        expect(answer).toMatchObject({ status: 200 });
      }
    };
    for (const said of [Buffer.alloc(0), begun, Buffer.alloc(4096, 0x5a)]) {
      for (let count = 0; count < 200; count += 1) {
        // From many addresses: none is the scraper's.
        const localAddress = `127.0.0.${2 + (count % 20)}`;
        const socket = createConnection({ port, host: "127.0.0.1", localAddress });
        socket.on("error", () => {}).on("connect", () => said.length > 0 && socket.write(said));
        sockets.push(socket);
      }
      await isRight();
    }
    // Whole ones that ask nothing, one after the other from several.
    let isOver = false;
    const shake = async (): Promise<number> => {
      for (let count = 0; ; count += 1) {
        if (isOver) {
          return count;
        }
        await new Promise<void>((resolve) => {
          const socket = connectTls({ port, host: "127.0.0.1", ca, servername: "localhost" });
          socket.on("error", () => resolve()).on("secureConnect", () => socket.destroy());
          socket.on("close", () => resolve());
        });
      }
    };
    const shaking = Array.from({ length: 20 }, shake);
    await isRight();
    isOver = true;
    const shaken = await Promise.all(shaking);
    expect(shaken.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });
});
