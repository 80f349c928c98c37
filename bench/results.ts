/** The results of a run, and figures computed from them. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import type { BenchCase, Mark, Medians } from "./case.js";
import { type Metric, sampleSchema } from "./measure.js";
import { machineSchema } from "./support/machine.js";
import { PEER_NAMES, type PeerName } from "./support/peers/peer.js";
import { median, quantile } from "./support/statistics.js";

const trialRecordSchema = z.object({
  case: z.string(),
  peer: z.enum(PEER_NAMES),
  variant: z.string(),
  /** Trials of the same round ran one after the other. */
  round: z.number(),
  /** How busy the machine was with other things just before (0..1). */
  background: z.number(),
  seconds: z.number(),
  samples: z.array(sampleSchema),
});
type TrialRecord = z.infer<typeof trialRecordSchema>;

const skipSchema = z.object({
  case: z.string(),
  peer: z.enum(PEER_NAMES),
  reason: z.string(),
  /** Whether it failed, rather than being left out. */
  failed: z.boolean(),
});

const FORMAT = 1;

const resultsSchema = z.object({
  format: z.literal(FORMAT),
  started: z.string(),
  seconds: z.number(),
  scale: z.enum(["quick", "full"]),
  /** Whether daemons and readers had the highest priority. */
  favoured: z.boolean(),
  machine: machineSchema,
  trials: z.array(trialRecordSchema),
  skips: z.array(skipSchema),
});
export type Results = z.infer<typeof resultsSchema>;

export function newResults(
  facts: Pick<Results, "scale" | "favoured" | "machine" | "started">,
): Results {
  return { format: FORMAT, seconds: 0, trials: [], skips: [], ...facts };
}

export function loadResults(path: string): Results {
  const parsed = resultsSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!parsed.success) {
    throw new Error(`${path}: not the results of a benchmark: ${parsed.error.issues[0]?.message}`);
  }
  return parsed.data;
}

export function saveResults(path: string, results: Results): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(results)}\n`);
}

/** A figure over all trials. */
export interface Figure {
  readonly median: number;
  /** First and third quartile: the spread. */
  readonly low: number;
  readonly high: number;
  readonly trials: number;
}

function figureOf(values: readonly number[]): Figure | undefined {
  if (values.length === 0) {
    return undefined;
  }
  const list = [...values];
  return {
    median: median(list),
    low: quantile(list, 0.25),
    high: quantile(list, 0.75),
    trials: list.length,
  };
}

/** The figures of one case. */
export class CaseFigures implements Medians {
  readonly #trials: readonly TrialRecord[];

  constructor(results: Results, caseName: string) {
    this.#trials = results.trials.filter((trial) => trial.case === caseName);
  }

  /** Series in the order in which they were measured. */
  series(): string[] {
    const names = this.#trials.flatMap(({ samples }) => samples.map(({ series }) => series));
    return [...new Set(names)];
  }

  /** Peers that were measured, in the order of reports. */
  peers(): PeerName[] {
    return PEER_NAMES.filter((name) => this.#trials.some(({ peer }) => peer === name));
  }

  figure(peer: PeerName, series: string, metric: Metric): Figure | undefined {
    return figureOf([...this.#byRound(peer, series, metric).values()]);
  }

  of(peer: PeerName, series: string, metric: Metric): number | undefined {
    return this.figure(peer, series, metric)?.median;
  }

  /** Ratios are made trial by trial, because what slows the machine for a while slows both trials. */
  ratioFigure(peer: PeerName, to: PeerName, series: string, metric: Metric): Figure | undefined {
    const others = this.#byRound(to, series, metric);
    const ratios = [...this.#byRound(peer, series, metric)].flatMap(([round, value]) => {
      const other = others.get(round);
      return other === undefined || other === 0 ? [] : [value / other];
    });
    return figureOf(ratios);
  }

  ratio(peer: PeerName, to: PeerName, series: string, metric: Metric): number | undefined {
    return this.ratioFigure(peer, to, series, metric)?.median;
  }

  #byRound(peer: PeerName, series: string, metric: Metric): Map<number, number> {
    const values = new Map<number, number>();
    for (const trial of this.#trials.filter((one) => one.peer === peer)) {
      const found = trial.samples.find(
        (sample) => sample.series === series && sample.metric === metric,
      );
      if (found !== undefined) {
        values.set(trial.round, found.value);
      }
    }
    return values;
  }
}

/** The verdict on a mark. */
export interface MarkOutcome {
  readonly case: string;
  readonly mark: Mark;
  readonly value: number | undefined;
  readonly verdict: "met" | "missed" | "not measured";
}

export function judge(results: Results, cases: readonly BenchCase[]): MarkOutcome[] {
  return cases.flatMap((scenario) => {
    const figures = new CaseFigures(results, scenario.name);
    return scenario.marks.map((mark) => {
      const value = mark.measure(figures);
      const verdict = value === undefined ? "not measured" : value <= mark.limit ? "met" : "missed";
      return { case: scenario.name, mark, value, verdict } as const;
    });
  });
}

/** A trial is noisy if something else used more than this share of the machine just before it. */
export const NOISY = 0.1;

export const noisyTrials = (results: Results): number =>
  results.trials.filter(({ background }) => background > NOISY).length;
