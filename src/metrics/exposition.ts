import { collectDefaultMetrics, Registry } from "prom-client";
import {
  ComputedMetric,
  type Emit,
  type Kind,
  type Labels,
  type MetricSource,
  TextRegistry,
} from "./computed-metric.js";
import { eventLoopLag } from "./event-loop-lag.js";

export const TEXT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;
export const OPENMETRICS_TYPE = Registry.OPENMETRICS_CONTENT_TYPE;

/** The formats of a page. */
export type Format = "text" | "openmetrics";

/** Node's default metrics whose names break the rules of Prometheus. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/**
 * Metrics for which prom-client would wake the process up all the time, even if nobody scrapes.
 * eventLoopLag() replaces them. `nodejs_eventloop_lag_seconds` stays: it is measured during a scrape.
 */
const OF_MEASUREMENTS = /^nodejs_eventloop_lag_(?:min|max|mean|stddev|p50|p90|p99)_seconds$/;
/** 25 days: in effect never. */
const LAG_EVERY_MS = 2 ** 31 - 1;

const KINDS: readonly Kind[] = ["counter", "gauge", "histogram"];

/** A value of prom-client. Buckets, sums and counts have names of their own. */
interface NodeValue {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
}

/** Node's default metrics, as sources for both formats. */
async function nodeMetrics(): Promise<MetricSource[]> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_EVERY_MS });
  for (const name of MISNAMED) {
    registry.removeSingleMetric(name);
  }
  const sources: MetricSource[] = [];
  for (const { name, help, type } of await registry.getMetricsAsJSON()) {
    if (OF_MEASUREMENTS.test(name)) {
      continue;
    }
    const kind = KINDS.find((one) => one === String(type));
    const metric = registry.getSingleMetric(name);
    if (kind !== undefined && metric !== undefined) {
      const values = async (emit: Emit): Promise<void> => {
        const found = await metric.get();
        for (const { value, labels, metricName } of found.values as readonly NodeValue[]) {
          emit(value, labels, undefined, metricName);
        }
      };
      sources.push({ name, help, kind, values });
    }
  }
  return [...sources, ...eventLoopLag()];
}

/** Writes all metrics of some sources in either format. */
export class Exposition {
  readonly #registries: Readonly<Record<Format, { metrics(): Promise<string> }>>;

  private constructor(sources: readonly MetricSource[]) {
    const text = new TextRegistry(TEXT_TYPE);
    const open = new TextRegistry(OPENMETRICS_TYPE);
    for (const source of sources) {
      text.registerMetric(new ComputedMetric(source, false));
      open.registerMetric(new ComputedMetric(source, true));
    }
    this.#registries = { text, openmetrics: open };
  }

  static async create(sources: readonly MetricSource[]): Promise<Exposition> {
    return new Exposition([...sources, ...(await nodeMetrics())]);
  }

  /** Writes a page. All sources are read before this returns, so that their values are of one moment. */
  write(format: Format): Promise<string> {
    return this.#registries[format].metrics();
  }
}

/** The format that an Accept header prefers. */
export function formatFor(accept: string | undefined): Format {
  let best: Format = "text";
  let bestQuality = 0;
  for (const range of (accept ?? "").split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const quality = Number(parameters.find((one) => one.startsWith("q="))?.slice(2) ?? 1);
    const isOpen = type === "application/openmetrics-text";
    const isText = ["text/plain", "text/*", "*/*"].includes(type);
    if ((isOpen || isText) && quality > bestQuality) {
      best = isOpen ? "openmetrics" : "text";
      bestQuality = quality;
    }
  }
  return best;
}
