/** The interface of a scenario. Each scenario is a file in cases/. */

import type { Metric, Sample } from "./measure.js";
import type { Container, ContainerOptions } from "./support/containers.js";
import type { FileName } from "./support/files.js";
import type { LoadOptions, LoadResult, RunningLoad } from "./support/load.js";
import type { PeerName, RunningPeer } from "./support/peers/peer.js";
import type { Programs } from "./support/programs.js";
import type { Stage } from "./support/stage.js";

/** How long to measure: `quick` for a first look, `full` for figures to publish. */
export type Scale = "quick" | "full";

/** Thrown if a scenario cannot be measured with this peer or on this machine; the reason is reported. */
export class SkipError extends Error {}

/** Thrown if a peer cannot take part in any scenario; the reason is reported. */
export class UnavailableError extends Error {}

/** What a scenario uses in a trial. Everything that it makes is removed at the end. */
export interface Trial {
  readonly scale: Scale;
  readonly stage: Stage;
  readonly programs: Programs;
  /** A directory for this trial, on a tmpfs. */
  readonly directory: string;
  /** The path of cli.js of the vprocfs that is measured. */
  readonly cli: string;
  /** Starts the measured peer, once per trial. `metrics`: see PeerContext. */
  startPeer(how?: { readonly metrics?: boolean }): Promise<RunningPeer>;
  /** Makes a container that sees the peer's files; the peer must have been started. */
  container(files: readonly FileName[], options?: ContainerOptions): Promise<Container>;
  removeContainer(container: Container): Promise<void>;
  /** Runs the load program to its end. */
  load(options: LoadOptions): Promise<LoadResult>;
  startLoad(options: LoadOptions): RunningLoad;
}

/** Medians over the trials of a run, for marks. */
export interface Medians {
  /** Undefined: not measured. */
  of(peer: PeerName, series: string, metric: Metric): number | undefined;
  /** The median of the ratios of trials that ran one after the other. */
  ratio(peer: PeerName, to: PeerName, series: string, metric: Metric): number | undefined;
}

/** A limit that a figure must not exceed. */
export interface Mark {
  readonly title: string;
  /** The largest value that meets it. */
  readonly limit: number;
  /** The metric, for the unit; without it the figure is a plain ratio. */
  readonly metric?: Metric;
  measure(medians: Medians): number | undefined;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** What is done and what it shows, in one or two sentences. */
  readonly about: string;
  readonly peers: readonly PeerName[];
  /** Trials per peer and variant. */
  readonly trials: Readonly<Record<Scale, number>>;
  /** Variants with trials of their own; without it one trial measures everything. */
  variants?(scale: Scale): readonly string[];
  /** Measures, in a process of its own. */
  measure(trial: Trial, variant: string): Promise<readonly Sample[]>;
  /** The metrics to show; ratios are made of the first one. */
  readonly metrics: readonly [Metric, ...Metric[]];
  /**
   * If the series are numbers with a unit ("8 readers"), the label of the axis over which they are drawn as
   * lines.
   */
  readonly axis?: string;
  readonly marks: readonly Mark[];
}
