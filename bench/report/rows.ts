/** Rows and lines of text that the reports for terminal and browser share. */

import type { BenchCase, Mark } from "../case.js";
import { format, type Metric } from "../measure.js";
import type { CaseFigures, Figure, Results } from "../results.js";
import { peerNamed } from "../support/peers/index.js";
import type { PeerName } from "../support/peers/peer.js";

interface Row {
  readonly series: string;
  /** The first row of its series. */
  readonly first: boolean;
  readonly peerName: PeerName;
  readonly peer: string;
  readonly toLxcfs: string;
  readonly toHost: string;
  /** One per shown metric. */
  readonly figures: readonly string[];
}

/** The metrics of a scenario that were measured. */
export function shownMetrics(scenario: BenchCase, figures: CaseFigures): Metric[] {
  return scenario.metrics.filter((metric) =>
    figures
      .series()
      .some((series) =>
        figures.peers().some((peer) => figures.of(peer, series, metric) !== undefined),
      ),
  );
}

function ratioText(figure: Figure | undefined): string {
  return figure === undefined ? "" : figure.median.toFixed(2);
}

/** Median and quartiles. */
function figureText(metric: Metric, figure: Figure | undefined): string {
  if (figure === undefined) {
    return "";
  }
  const middle = format(metric, figure.median);
  if (figure.low === figure.high) {
    return middle;
  }
  return `${middle} (${format(metric, figure.low)} – ${format(metric, figure.high)})`;
}

export function caseRows(scenario: BenchCase, figures: CaseFigures): Row[] {
  const metrics = shownMetrics(scenario, figures);
  const [main] = scenario.metrics;
  return figures.series().flatMap((series) => {
    const peers = figures
      .peers()
      .filter((peer) => metrics.some((metric) => figures.of(peer, series, metric) !== undefined));
    return peers.map((peer, index) => ({
      series,
      first: index === 0,
      peerName: peer,
      peer: peerNamed(peer).title,
      toLxcfs: ratioText(figures.ratioFigure(peer, "lxcfs", series, main)),
      toHost: ratioText(figures.ratioFigure(peer, "host", series, main)),
      figures: metrics.map((metric) => figureText(metric, figures.figure(peer, series, metric))),
    }));
  });
}

/** A mark's figure: a plain ratio unless it has a metric. */
export function formatMark(mark: Mark, value: number): string {
  return mark.metric === undefined ? `${value.toFixed(2)} ×` : format(mark.metric, value);
}

/** The facts of the machine and the run, a line each. */
export function machineLines(results: Results): string[] {
  const { machine, started, scale, favoured, seconds, trials } = results;
  const how = favoured ? `${scale}, put before everything else on the machine` : scale;
  const { kernel, arch, cpuModel, cpus, memoryMiB, governor, clocksource, cgroups } = machine;
  return [
    `${started}, ${how}, ${trials.length} trials in ${Math.round(seconds)} s`,
    `Linux ${kernel} ${arch}, ${cpus} CPUs (${cpuModel})${machine.virtualised ? ", virtual machine" : ""}, ${memoryMiB} MiB`,
    `governor ${governor}, clock source ${clocksource}, cgroups ${cgroups}, Node ${machine.node}, LXCFS ${machine.lxcfs}`,
  ];
}

/** What was not measured and why: one line for each reason. */
export function skipLines({ skips }: Results): string[] {
  const cases = new Map<string, string[]>();
  for (const { case: name, peer, reason, failed } of skips) {
    const line = `${peerNamed(peer).title} ${failed ? "FAILED" : "left out"}: ${reason}`;
    cases.set(line, [...(cases.get(line) ?? []), name]);
  }
  return [...cases].map(([line, names]) => `${line} (${names.join(", ")})`);
}
