// A daemon that serves metrics, and a real Prometheus that scrapes it.

import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { totalsOf } from "../../src/metrics/survey.js";
import { background } from "./command.js";
import type { Container } from "./container.js";
import { Daemon, temporaryDirectory } from "./daemon.js";
import type { Scope } from "./scope.js";
import { readProcess } from "./testing.js";
import { until } from "./wait.js";

/** A port that nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

export interface Served {
  readonly daemon: Daemon;
  readonly port: number;
  /** As --metrics takes it. */
  readonly address: string;
  /** The metrics of now. */
  scrape(): Promise<string>;
}

/** Starts a daemon that serves metrics, and waits until it does. */
export async function serveMetrics(scope: Scope, ...args: string[]): Promise<Served> {
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const daemon = await Daemon.start(scope, "--metrics", address, ...args);
  const scrape = async (): Promise<string> => (await fetch(`http://${address}/metrics`)).text();
  await until("metrics are served", () => daemon.logs.includes("serving metrics"));
  return { daemon, port, address, scrape };
}

/** The value of a metric of one container; undefined where there is none. */
export function figureOf(text: string, metric: string, id: string, more = ""): number | undefined {
  const line = text
    .split("\n")
    .find(
      (one) =>
        one.startsWith(`vprocfs_container_${metric}{`) &&
        one.includes(`id="${id}"`) &&
        one.includes(more),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
}

/**
 * Leaves what a worker keeps of a container for the next one, as if quotas above it had held it back for so
 * many seconds in the life that began with `first`. For a worker that has told no metrics yet.
 */
export function keepThrottled(daemon: Daemon, id: string, first: Container, seconds: number): void {
  const startUs = readProcess("/proc", first.init).startTicks * 10_000n;
  const line = `${id} ${startUs} ${seconds * 1e6} 0 0 0 0`;
  writeFileSync(`${totalsOf(daemon.mountpoint)}.counters`, `vprocfs-counters 1\n${line}\nend\n`);
}

/** One element of an instant vector. */
interface Element {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Reply {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly resultType: string;
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value?: readonly [number, string];
    }[];
  };
}

export class Prometheus {
  readonly url: string;

  private constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts one that scrapes this port each second, and waits until it is ready. */
  static async start(
    scope: Scope,
    target: number,
    rules: readonly string[] = [],
  ): Promise<Prometheus> {
    const directory = temporaryDirectory(scope, "prometheus");
    const port = await freePort();
    const file = join(directory, "prometheus.yml");
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: rules,
      scrape_configs: [
        { job_name: "vprocfs", static_configs: [{ targets: [`127.0.0.1:${target}`] }] },
      ],
    };
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(config));
    const child = background(scope, [
      "prometheus",
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error",
    ]);
    let errors = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.stdout?.resume();
    const prometheus = new Prometheus(port);
    await until("Prometheus is ready", async () => {
      if (child.exitCode !== null) {
        throw new Error(`Prometheus ended: ${errors}`);
      }
      return prometheus.#isReady();
    });
    return prometheus;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/-/ready`)).ok;
    } catch {
      return false;
    }
  }

  /** An instant query; throws what Prometheus says of a bad one. */
  async query(query: string): Promise<Element[]> {
    const response = await fetch(`${this.url}/api/v1/query`, {
      method: "POST",
      body: new URLSearchParams({ query }),
    });
    const reply = (await response.json()) as Reply;
    if (reply.status !== "success") {
      throw new Error(`${query}: ${reply.error}`);
    }
    return (reply.data?.result ?? []).map(({ metric, value }) => ({
      labels: metric,
      value: Number(value?.[1]),
    }));
  }

  /** The one value of a query; undefined while there is none. */
  async value(query: string): Promise<number | undefined> {
    return (await this.query(query))[0]?.value;
  }
}
