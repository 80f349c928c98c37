import type { Containers, Figures, Surveyed } from "../metrics/survey.js";
import type { NodeMemory } from "../native/binding.js";
import { counted } from "../text.js";
import { type MemoryUse, memoryUse, memoryUseOfNode } from "./memory-use.js";
import { type PerformanceValue, type PluginLevel, worst } from "./nagios.js";

/** From where on `check` is not ok. */
export interface Thresholds {
  /** Percent of memory. */
  readonly warning: number;
  readonly critical: number;
  /** How long to warn after an OOM kill. */
  readonly oomSeconds: number;
}

/** What `check` finds of one thing. */
export interface Verdict {
  readonly level: PluginLevel;
  /** Empty if all is well. */
  readonly text: string;
  readonly values: readonly PerformanceValue[];
}

/** The names of a container: one for performance data, which never changes, and one for people. */
export interface Called {
  readonly label: string;
  readonly shown: string;
}

const FINE: Verdict = { level: "ok", text: "", values: [] };

function judgeMemory(
  use: MemoryUse | undefined,
  label: string,
  { warning, critical }: Thresholds,
): Verdict {
  if (use === undefined) {
    return FINE;
  }
  const value = (100 * use.used) / use.total;
  const values = [{ label, value, unit: "%", warning, critical, max: 100 }];
  if (value < warning) {
    return { ...FINE, values };
  }
  const level = value >= critical ? "critical" : "warning";
  return { level, text: `memory ${value.toFixed(0)}%`, values };
}

function judgeKills(
  figures: Figures,
  victim: string,
  label: string,
  { oomSeconds }: Thresholds,
): Verdict {
  const kills = figures.get("oomKills");
  const last = figures.get("lastOomTime");
  const values = kills === undefined ? [] : [{ label, value: kills, unit: "c" }];
  if (last === undefined || Date.now() / 1000 - last >= oomSeconds) {
    return { ...FINE, values };
  }
  return { level: "warning", text: `OOM kill${victim === "" ? "" : ` of ${victim}`}`, values };
}

/** Judges one container by its memory limit and its OOM kills. */
export function judgeContainer(
  { label, shown }: Called,
  { figures, lastVictim }: Surveyed,
  limits: Thresholds,
): Verdict {
  const parts = [
    judgeMemory(memoryUse(figures), `${label} memory`, limits),
    judgeKills(figures, lastVictim, `${label} oom kills`, limits),
  ];
  const messages = parts.map(({ text }) => text).filter((text) => text !== "");
  return {
    level: worst(parts.map(({ level }) => level)),
    text: messages.length === 0 ? "" : `${shown}: ${messages.join(", ")}`,
    values: parts.flatMap(({ values }) => values),
  };
}

/** Judges the memory of the node. */
export function judgeNode(memory: NodeMemory | null, limits: Thresholds): Verdict {
  const verdict = judgeMemory(memoryUseOfNode(memory), "memory", limits);
  return { ...verdict, text: verdict.text === "" ? "" : `node: ${verdict.text}` };
}

/** What a survey does not say of the containers, in words. undefined: there is none, because a file does not answer. */
export function gapsOf(survey: Omit<Containers, "containers"> | undefined): string[] {
  if (survey === undefined) {
    return ["the containers cannot be surveyed: a file of a cgroup does not answer"];
  }
  const { failed, leftOut } = survey;
  return [
    ...(leftOut > 0
      ? [
          `${counted(leftOut, "container")} left out: too many for one survey, or not enough descriptors or memory`,
        ]
      : []),
    ...(failed > 0 ? [`${counted(failed, "container")} cannot be read`] : []),
  ];
}

/** The level of a check that could not see everything. */
export function levelOf(verdicts: readonly Verdict[], gaps: readonly string[]): PluginLevel {
  const seen = verdicts.map(({ level }) => level);
  return worst(gaps.length > 0 ? [...seen, "unknown"] : seen);
}
