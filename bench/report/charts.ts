/// <reference lib="dom" />
/** Charts as SVG text, for a page that needs no script and no network. */

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { BenchCase } from "../case.js";
import { METRICS, type Metric } from "../measure.js";
import type { CaseFigures } from "../results.js";
import { peerNamed } from "../support/peers/index.js";
import { PEER_NAMES, type PeerName } from "../support/peers/peer.js";

/** Colours that people with colour blindness can distinguish too (Okabe and Ito). */
export const PEER_COLOURS: Readonly<Record<PeerName, string>> = {
  host: "#666666",
  tmpfs: "#aaaaaa",
  floor: "#56b4e9",
  sources: "#f0e442",
  "tick-sources": "#e69f00",
  lxcfs: "#d55e00",
  exact: "#0072b2",
  tick: "#009e73",
  "fuse-native": "#cc79a7",
};

/** Units of the axes. */
const SCALES: Readonly<Record<string, { readonly factor: number; readonly unit: string }>> = {
  ns: { factor: 1e-3, unit: "µs" },
  us: { factor: 1, unit: "µs" },
  ms: { factor: 1, unit: "ms" },
  perSecond: { factor: 1, unit: "per second" },
  count: { factor: 1, unit: "" },
  percent: { factor: 1, unit: "%" },
  MiB: { factor: 1, unit: "MiB" },
  KiB: { factor: 1, unit: "KiB" },
};

interface Point {
  readonly peer: string;
  readonly series: string;
  /** The series' name without its number: "stat, 8 CPUs" and "stat, 32 CPUs" are one line. */
  readonly group: string;
  /** The number in the series' name. */
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

const WIDTH = 860;

function pointsOf(figures: CaseFigures, metric: Metric): Point[] {
  const factor = SCALES[METRICS[metric].unit]?.factor ?? 1;
  return figures.series().flatMap((series) =>
    figures.peers().flatMap((peer) => {
      const figure = figures.figure(peer, series, metric);
      if (figure === undefined) {
        return [];
      }
      return {
        peer: peerNamed(peer).title,
        series,
        group: series.replace(/[\d,]*\d.*/, "").replace(/,\s*$/, ""),
        x: Number(/\d+/.exec(series)?.[0]),
        y: figure.median * factor,
        low: figure.low * factor,
        high: figure.high * factor,
      };
    }),
  );
}

function colours(): Plot.ScaleOptions {
  return {
    domain: PEER_NAMES.map((name) => peerNamed(name).title),
    range: PEER_NAMES.map((name) => PEER_COLOURS[name]),
  };
}

/** Dots with their spread. Bars would mislead on a logarithmic scale. */
function dots(points: readonly Point[], label: string, logarithmic: boolean): Plot.PlotOptions {
  const rows = new Set(points.map(({ series, peer }) => `${series}/${peer}`)).size;
  const groups = new Set(points.map(({ series }) => series)).size;
  const peers = [...new Set(points.map(({ peer }) => peer))];
  return {
    height: 60 + 16 * rows + 14 * groups,
    marginLeft: 150,
    marginRight: 110,
    x: { type: logarithmic ? "log" : "linear", label, grid: true, zero: !logarithmic, nice: true },
    y: { label: null, domain: peers },
    fy: { label: null, domain: [...new Set(points.map(({ series }) => series))] },
    marks: [
      Plot.link(points, {
        x1: "low",
        x2: "high",
        y1: "peer",
        y2: "peer",
        fy: "series",
        stroke: "peer",
        strokeWidth: 5,
        strokeOpacity: 0.35,
      }),
      Plot.dot(points, { x: "y", y: "peer", fy: "series", fill: "peer", r: 4 }),
    ],
  };
}

function lines(points: readonly Point[], axis: string, label: string): Plot.PlotOptions {
  const positive = points.every(({ y }) => y > 0);
  return {
    height: 320,
    marginLeft: 70,
    marginRight: 150,
    x: {
      label: axis,
      type: "point",
      domain: [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b),
    },
    y: { label, type: positive ? "log" : "linear", grid: true, nice: true },
    marks: [
      Plot.link(points, {
        x1: "x",
        x2: "x",
        y1: "low",
        y2: "high",
        stroke: "peer",
        strokeWidth: 5,
        strokeOpacity: 0.35,
      }),
      Plot.line(points, { x: "x", y: "y", stroke: "peer", strokeWidth: 2 }),
      Plot.dot(points, { x: "x", y: "y", fill: "peer", r: 4 }),
      Plot.text(
        points,
        Plot.selectLast({
          x: "x",
          y: "y",
          z: "peer",
          text: "peer",
          fill: "peer",
          dx: 10,
          textAnchor: "start",
        }),
      ),
    ],
  };
}

/** The name of a metric with its unit. */
function metricTitle(metric: Metric): string {
  const { label, unit } = METRICS[metric];
  const name = SCALES[unit]?.unit ?? "";
  return name === "" ? label : `${label} (${name})`;
}

function draw(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  return Plot.plot({ ...options, width: WIDTH, color: colours(), document }).outerHTML;
}

/** Whether the figures are so far apart that small ones would be invisible on a linear scale. */
function isWide(points: readonly Point[]): boolean {
  const span =
    Math.max(...points.map(({ high }) => high)) / Math.min(...points.map(({ low }) => low));
  return Number.isFinite(span) && span > 5;
}

/** The charts of one metric; none if there is nothing to draw. */
export function charts(scenario: BenchCase, figures: CaseFigures, metric: Metric): string[] {
  const points = pointsOf(figures, metric);
  const title = metricTitle(metric);
  const { axis } = scenario;
  if (points.length === 0) {
    return [];
  }
  if (axis === undefined || new Set(points.map(({ x }) => x)).size === 1) {
    return [draw(dots(points, title, isWide(points)))];
  }
  return [...new Set(points.map(({ group }) => group))].map((group) => {
    const members = points.filter((point) => point.group === group);
    return draw(lines(members, axis, group === "" ? title : `${group}: ${title}`));
  });
}
