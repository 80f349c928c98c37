import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { createConnection, type ListenOptions } from "node:net";
import { errnoOf, messageOf } from "../errors.js";
import type { Logger } from "../log.js";
import { type Address, isLocal, nameOf } from "./address.js";
import type { WebConfig } from "./basic-auth.js";
import { metricsServer, type Pages } from "./server.js";

/** The earlier worker releases the address during the takeover, so the first retries come soon. */
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 10_000;
/** An address that is in use for longer belongs to another program. */
const PATIENCE_MS = 3000;

/** The socket of an address that a worker leaves to the next one. */
interface KeptSocket {
  /** The descriptor that an earlier worker has left, once; -1: none. */
  readonly take: () => number;
  /** Leaves a descriptor to later workers. */
  readonly keep: (fd: number) => void;
}

interface ExporterOptions {
  readonly address: Address;
  /** Undefined: the address is released with the process. */
  readonly kept?: KeptSocket | undefined;
  readonly web: WebConfig;
  readonly pages: Pages;
  readonly log: Logger;
}

/** The descriptor of a server that listens; undefined where Node does not show it, as it documents nowhere. */
function descriptorOf(server: Server): number | undefined {
  const handle: unknown = Reflect.get(server, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null && Reflect.get(handle, "fd");
  return typeof fd === "number" && fd >= 0 ? fd : undefined;
}

/** Whether the path is a socket on which nobody listens: its program has died. */
function isAbandoned(path: string): Promise<boolean> {
  // A file that is not a socket would refuse the connection too.
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

/**
 * Serves metrics from start() to close(). If the address cannot be had, it tries again; files are served all
 * the same.
 */
export class Exporter {
  readonly #options: ExporterOptions;
  readonly #begun = performance.now();
  #server: Server | undefined;
  #cutOff = (): void => {};
  #retry: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #problem = "";
  #isClosed = false;

  private constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** Listens, now or as soon as the address is free. */
  static start(options: ExporterOptions): Exporter {
    const exporter = new Exporter(options);
    const { address, web, log } = options;
    const isVerified = web.tls?.rejectUnauthorized === true;
    if (!isLocal(address) && web.users.size === 0 && !isVerified) {
      const what = web.tls === undefined ? "without TLS or passwords" : "without passwords";
      log.warn({ metrics: nameOf(address) }, `metrics are open to other hosts ${what}`);
    }
    exporter.#listen();
    return exporter;
  }

  #listen(): void {
    const { address, kept, web, pages, log } = this.#options;
    if (this.#isClosed || address.kind === "off") {
      return;
    }
    const { server, cutOff } = metricsServer(
      pages,
      web,
      (error) => log.error({ error: messageOf(error) }, "a scrape failed"),
      () => log.warn("metrics: too many connections, closing those that have been silent longest"),
    );
    const fd = kept?.take() ?? -1;
    const where: ListenOptions | { readonly fd: number } =
      fd >= 0
        ? { fd }
        : address.kind === "unix"
          ? { path: address.path }
          : { port: address.port, ...(address.host === undefined ? {} : { host: address.host }) };
    server.once("error", (error) => {
      server.close();
      void this.#onError(error);
    });
    server.listen(where, () => {
      const own = fd >= 0 ? undefined : descriptorOf(server);
      if (own !== undefined) {
        kept?.keep(own);
      }
      this.#onListening(server);
    });
    this.#server = server;
    this.#cutOff = cutOff;
  }

  /** Why it does not listen; "" if it does, or if that is not decided yet. */
  get problem(): string {
    return this.#problem;
  }

  /** Whether it neither listens nor knows that it cannot: the earlier worker may still have the address. */
  get isPending(): boolean {
    return !this.#isClosed && this.#problem === "" && this.#server?.listening !== true;
  }

  #onListening(server: Server): void {
    const { address, log } = this.#options;
    this.#problem = "";
    // The exporter does not keep the process alive.
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
    const patienceMs = PATIENCE_MS - (performance.now() - this.#begun);
    const reason = isInUse ? "the address is in use" : messageOf(error);
    if (this.#problem === "" && (!isInUse || patienceMs <= 0)) {
      this.#problem = reason;
      log.warn({ metrics: nameOf(address), reason }, "cannot serve metrics yet, retrying");
    }
    // Not later than when the patience ends: a reload waits for it.
    const retryMs = patienceMs > 0 ? Math.min(this.#retryMs, patienceMs) : this.#retryMs;
    this.#retry = setTimeout(() => this.#listen(), retryMs);
    this.#retry.unref();
    this.#retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
  }

  /** Releases the address at once; running scrapes are cut off. */
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
      this.#cutOff();
    });
  }
}
