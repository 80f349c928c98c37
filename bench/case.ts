/** What a scenario is. Each is a file of its own in cases/; adding one is adding a file. */

import type { Metric, Sample } from "./measure.js";
import type { Container, ContainerOptions } from "./support/containers.js";
import type { FileName } from "./support/files.js";
import type { LoadOptions, LoadResult, RunningLoad } from "./support/load.js";
import type { PeerName, RunningPeer } from "./support/peers/peer.js";
import type { Programs } from "./support/programs.js";
import type { Stage } from "./support/stage.js";

/** How much time is taken: `quick` is for a first look, figures for others come from `full`. */
export type Scale = "quick" | "full";

/** A scenario cannot be measured with this peer or on this machine; the reason is reported. */
export class SkipError extends Error {}

/** A peer cannot take part in any scenario; the reason is reported. */
export class UnavailableError extends Error {}

/** What a trial has at hand. All that it makes goes with it. */
export interface Trial {
  readonly scale: Scale;
  readonly stage: Stage;
  readonly programs: Programs;
  /** Of its own, on a tmpfs. */
  readonly directory: string;
  /** The vprocfs that is measured: path of its cli.js. */
  readonly cli: string;
  /** Starts the peer that is measured; once per trial. `metrics`: see PeerContext. */
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
  /** Undefined where it was not measured. */
  of(peer: PeerName, series: string, metric: Metric): number | undefined;
  /** The median of the ratios of trials that ran one after the other. */
  ratio(peer: PeerName, to: PeerName, series: string, metric: Metric): number | undefined;
}

/** A figure that is to be reached. */
export interface Mark {
  readonly title: string;
  /** The most that it may be. */
  readonly limit: number;
  /** How figures are written; a plain ratio when absent. */
  readonly metric?: Metric;
  measure(medians: Medians): number | undefined;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** One sentence: what is done and what it tells. */
  readonly about: string;
  readonly peers: readonly PeerName[];
  /** Trials per peer and variant. */
  readonly trials: Readonly<Record<Scale, number>>;
  /** What is measured in trials of their own; one trial measures all when absent. */
  variants?(scale: Scale): readonly string[];
  /** Runs in a process of its own. */
  measure(trial: Trial, variant: string): Promise<readonly Sample[]>;
  /** What is shown, the one that ratios are made of first. */
  readonly metrics: readonly [Metric, ...Metric[]];
  /** The series are numbers with a unit ("8 readers"): drawn as lines over them, with this label. */
  readonly axis?: string;
  readonly marks: readonly Mark[];
}
