import { request } from "node:http";
import { parseAddress } from "../metrics/address.js";

const WITHIN_MS = 1000;
const MOST_BYTES = 64 << 20;

function fetchText(address: string): Promise<string> {
  const parsed = parseAddress(address);
  if (parsed === undefined || parsed.kind === "off") {
    return Promise.reject(new Error("metrics are off"));
  }
  const where =
    parsed.kind === "unix"
      ? { socketPath: parsed.path }
      : { host: parsed.host ?? "127.0.0.1", port: parsed.port };
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path: "/metrics", timeout: WITHIN_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.length > MOST_BYTES) {
          asked.destroy(new Error("too long"));
        }
      });
      response.on("end", () => {
        if (response.statusCode === 200) {
          resolve(text);
        } else {
          reject(new Error(`status ${response.statusCode}`));
        }
      });
      response.on("error", reject);
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", reject);
    asked.end();
  });
}

/** Figures that only the daemon has. */
export interface DaemonFigures {
  /** Requests so far, by container. */
  readonly requests: ReadonlyMap<string, number>;
  /** Load averages over one minute, by container. */
  readonly loads: ReadonlyMap<string, number>;
  /** Version of the daemon; undefined when it does not tell. */
  readonly version: string | undefined;
  /** What of each resource that all tenants share is in use. */
  readonly resources: ReadonlyMap<string, SharedResource>;
}

export interface SharedResource {
  readonly used: number;
  readonly limit: number;
  /** Times that a tenant asked for more than it may have. */
  readonly refused: number;
  /** Times of these that others had what it asked for. */
  readonly short: number;
}

const NOTHING: DaemonFigures = {
  requests: new Map(),
  loads: new Map(),
  version: undefined,
  resources: new Map(),
};

function resourcesOf(text: string): Map<string, SharedResource> {
  const figures = (metric: string): Map<string, number> => {
    const pattern = new RegExp(`^vprocfs_resource_${metric}\\{resource="(\\w+)"\\} (\\S+)$`, "gm");
    return new Map(
      [...text.matchAll(pattern)].map(([, name = "", value]) => [name, Number(value)]),
    );
  };
  const [limits, refused, short] = [
    figures("limit"),
    figures("refused_total"),
    figures("short_total"),
  ];
  const all = new Map<string, SharedResource>();
  for (const [name, used] of figures("used")) {
    const of = (values: ReadonlyMap<string, number>): number => values.get(name) ?? 0;
    all.set(name, { used, limit: of(limits), refused: of(refused), short: of(short) });
  }
  return all;
}

function byContainer(text: string, metric: string): Map<string, number> {
  const values = new Map<string, number>();
  const pattern = new RegExp(`^vprocfs_container_${metric}\\{id="([a-z0-9]+)",.*\\} (\\S+)$`, "gm");
  for (const [, id = "", value] of text.matchAll(pattern)) {
    values.set(id, Number(value));
  }
  return values;
}

/** What a daemon tells on the address of its metrics; nothing where it cannot be asked. */
export async function daemonFigures(address: string): Promise<DaemonFigures> {
  try {
    const text = await fetchText(address);
    return {
      requests: byContainer(text, "requests_total"),
      loads: byContainer(text, "load1"),
      version: /^vprocfs_build_info\{version="([^"]*)"/m.exec(text)?.[1],
      resources: resourcesOf(text),
    };
  } catch {
    return NOTHING;
  }
}
