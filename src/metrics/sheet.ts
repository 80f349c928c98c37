import { Gauge } from "prom-client";

/** The kinds of metrics there are here. */
export type Kind = "counter" | "gauge" | "histogram";

type Labels = Readonly<Record<string, string>>;

/** One value of a metric; `metricName` where it is not the metric's own. */
export interface Sample {
  readonly value: number;
  readonly labels: Labels;
  /** Labels that many samples have: the same object is written out once. */
  readonly sharedLabels?: Labels;
  readonly metricName?: string;
}

/** A metric whose values others count. */
export interface MetricSource {
  readonly name: string;
  readonly help: string;
  readonly kind: Kind;
  /** Asked in the moment in which a text is begun. */
  readonly samples: () => Sample[] | Promise<Sample[]>;
}

/**
 * A metric for a registry of prom-client that takes its values as they are rather than counting
 * itself. In the OpenMetrics format a counter's family has its name without "_total".
 */
export class Sheet extends Gauge {
  readonly #source: MetricSource;
  readonly #isOpenMetrics: boolean;

  constructor(source: MetricSource, isOpenMetrics: boolean) {
    super({ name: source.name, help: source.help, registers: [] });
    this.#source = source;
    this.#isOpenMetrics = isOpenMetrics;
  }

  override async get() {
    const { name, kind, samples } = this.#source;
    // What is not known has no sample, not one that says so.
    const values = (await samples()).filter(({ value }) => !Number.isNaN(value));
    const isCut = this.#isOpenMetrics && kind === "counter";
    return Object.assign(await super.get(), {
      name: isCut ? name.replace(/_total$/, "") : name,
      type: kind,
      values,
    });
  }
}
