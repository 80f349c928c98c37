import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { createConnection, type ListenOptions } from "node:net";
import { errnoOf, messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import { type Address, isLocal, nameOf } from "./address.js";
import type { WebConfig } from "./basic-auth.js";
import { metricsServer, type Pages } from "./server.js";

/** The worker before us lets go of the address while it hands over: soon, so we look often. */
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 10_000;
/** An address that is in use for longer is somebody else's. */
const PATIENCE_MS = 2000;

export interface ExporterOptions {
  readonly address: Address;
  readonly web: WebConfig;
  readonly pages: Pages;
  readonly log: Logger;
}

/** True when nobody listens on a socket that is there: whoever made it died. */
function isAbandoned(path: string): Promise<boolean> {
  // What is no socket refuses connections too.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) {
    return Promise.resolve(false);
  }
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error) => resolve(errnoOf(error) === "ECONNREFUSED"));
  });
}

/** Serves metrics from start to close, whatever happens to its address: serving files comes first. */
export class Exporter {
  readonly #options: ExporterOptions;
  readonly #begun = performance.now();
  #server: Server | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #hasWarned = false;
  #isClosed = false;

  private constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** Listens, now or as soon as the address is free. */
  static start(options: ExporterOptions): Exporter {
    const exporter = new Exporter(options);
    const { address, web, log } = options;
    if (!isLocal(address) && web.users.size === 0) {
      const what = web.tls === undefined ? "without TLS or passwords" : "without passwords";
      log.warn({ metrics: nameOf(address) }, `metrics are open to other hosts ${what}`);
    }
    exporter.#listen();
    return exporter;
  }

  #listen(): void {
    const { address, web, pages, log } = this.#options;
    if (this.#isClosed || address.kind === "off") {
      return;
    }
    const server = metricsServer(
      pages,
      web,
      (error) => log.error({ error: messageOf(error) }, "a scrape failed"),
      () => log.warn("metrics: too many connections, closing those that have been silent longest"),
    );
    const where: ListenOptions =
      address.kind === "unix"
        ? { path: address.path }
        : { port: address.port, ...(address.host === undefined ? {} : { host: address.host }) };
    server.once("error", (error) => {
      server.close();
      void this.#onError(error);
    });
    server.listen(where, () => this.#onListening(server));
    this.#server = server;
  }

  #onListening(server: Server): void {
    const { address, log } = this.#options;
    // Native threads and the daemon decide when the process ends, not this.
    server.unref();
    server.on("error", (error) => log.error({ error: messageOf(error) }, "metrics: server error"));
    try {
      if (address.kind === "unix") {
        chmodSync(address.path, 0o660);
      }
      log.info({ metrics: nameOf(address) }, "serving metrics");
    } catch (error) {
      const reason = messageOf(error);
      log.warn({ metrics: nameOf(address), reason }, "metrics: only root can read them");
    }
  }

  async #onError(error: Error): Promise<void> {
    const { address, log } = this.#options;
    this.#server = undefined;
    const isInUse = errnoOf(error) === "EADDRINUSE";
    try {
      if (isInUse && address.kind === "unix" && (await isAbandoned(address.path))) {
        rmSync(address.path, { force: true });
      }
    } catch (error) {
      const reason = messageOf(error);
      log.warn({ metrics: nameOf(address), reason }, "metrics: cannot remove the old socket");
    }
    if (this.#isClosed) {
      return;
    }
    if (!this.#hasWarned && (!isInUse || performance.now() - this.#begun >= PATIENCE_MS)) {
      this.#hasWarned = true;
      const reason = isInUse ? "the address is in use" : messageOf(error);
      log.warn({ metrics: nameOf(address), reason }, "cannot serve metrics yet, retrying");
    }
    this.#retry = setTimeout(() => this.#listen(), this.#retryMs);
    this.#retry.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  /** Lets go of the address at once; scrapes under way are cut off. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined || !server.listening) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}
