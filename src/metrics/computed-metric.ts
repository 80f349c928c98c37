import { Gauge, Registry, type RegistryContentType } from "prom-client";

/** The kinds of metrics there are here. */
export type Kind = "counter" | "gauge" | "histogram";

export type Labels = Readonly<Record<string, string>>;

/**
 * Takes one value of a metric. `shared` has labels that many values share: an object is formatted only once. `name`
 * replaces the metric's own name.
 */
export type Emit = (value: number, labels: Labels, shared?: Labels, name?: string) => void;

/** A metric and where its values come from. */
export interface MetricSource {
  readonly name: string;
  readonly help: string;
  readonly kind: Kind;
  /** Called once for each page. */
  readonly values: (emit: Emit) => void | Promise<void>;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };

function escaped(text: string): string {
  return /[\\\n"]/.test(text) ? text.replaceAll(/[\\\n"]/g, (one) => ESCAPES[one] ?? one) : text;
}

const written = new WeakMap<Labels, string>();

/** 'id="1",name="web1"'; formatted once for each object. */
function labelText(labels: Labels): string {
  let text = written.get(labels);
  if (text === undefined) {
    text = Object.entries(labels)
      .map(([name, value]) => `${name}="${escaped(String(value))}"`)
      .join(",");
    written.set(labels, text);
  }
  return text;
}

function numberText(value: number): string {
  return Number.isFinite(value) ? `${value}` : value > 0 ? "+Inf" : "-Inf";
}

/**
 * A metric for a registry of prom-client whose values are computed when a page is written. In the
 * OpenMetrics format a counter's family has its name without "_total".
 */
export class ComputedMetric extends Gauge {
  readonly #source: MetricSource;
  readonly #isOpenMetrics: boolean;

  constructor(source: MetricSource, isOpenMetrics: boolean) {
    super({ name: source.name, help: source.help, registers: [] });
    this.#source = source;
    this.#isOpenMetrics = isOpenMetrics;
  }

  /** The text that the registry writes. Fast enough for tens of thousands of samples. */
  async text(): Promise<string> {
    const { name, help, kind, values } = this.#source;
    const family = this.#isOpenMetrics && kind === "counter" ? name.replace(/_total$/, "") : name;
    const lines = [`# HELP ${family} ${help.replaceAll("\n", " ")}`, `# TYPE ${family} ${kind}`];
    const plain = kind === "counter" && this.#isOpenMetrics ? `${family}_total` : name;
    await values((value, labels, shared, own) => {
      // NaN: the value is not known.
      if (Number.isNaN(value)) {
        return;
      }
      const first = labelText(labels);
      const second = shared === undefined ? "" : labelText(shared);
      const both = first === "" || second === "" ? first + second : `${first},${second}`;
      lines.push(`${own ?? plain}${both === "" ? "" : `{${both}}`} ${numberText(value)}`);
    });
    return lines.join("\n");
  }
}

/** A registry of computed metrics. */
export class TextRegistry extends Registry<RegistryContentType> {
  constructor(contentType: RegistryContentType) {
    super();
    this.setContentType(contentType);
  }

  async getMetricsAsString(metric: unknown): Promise<string> {
    return metric instanceof ComputedMetric ? await metric.text() : "";
  }
}
