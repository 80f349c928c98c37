// What the figures that tools print should be, and whether they are.

import { existsSync, readFileSync } from "node:fs";
import { outputSync } from "../command.js";
import { MIB, type Range, type Truth } from "./moments.js";

/** "not by files": untrue, but the kernel answers the tool itself. */
type Verdict = "true" | "WRONG" | "not by files" | "not checked";

/** One figure of one tool. */
export interface Row {
  readonly tool: string;
  readonly figure: string;
  readonly shown: string;
  readonly truth: string;
  readonly verdict: Verdict;
}

/** What the limits of a container make of it. */
export interface Size {
  readonly memoryMiB: number;
  readonly swapMiB: number;
  readonly cpus: readonly number[];
  /** CPUs that the kernel lets it run on, by the cpuset alone. */
  readonly affinity: number;
  /** sysinfo(2) and sched_getaffinity(2) are answered for it: nothing of theirs is the kernel's. */
  readonly isAnswered?: boolean;
}

/** A figure that a tool printed, and what it should be. */
export interface Claim {
  readonly figure: string;
  readonly shown: number | string | undefined;
  readonly truth: number | string | Range;
  /** How far a number may be off, either way: what the tool rounds. */
  readonly within?: number;
  /** The kernel answers the tool itself, not a file: what is not true is none of ours. */
  readonly isKernels?: boolean;
}

/** What was true while a tool ran, and of what container. */
export interface Span {
  readonly truth: Truth;
  readonly size: Size;
}

/** The kernel charges memory in batches per CPU, and between two looks it may rise and fall. */
const CHARGE_MIB = 1;
const LIBC = existsSync("/usr/bin/getconf")
  ? outputSync(["getconf", "GNU_LIBC_VERSION"])
  : "glibc 2.36";

/** The number that a pattern's first group matches. */
export function numberIn(text: string, pattern: RegExp): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** "0-2,5" as "0 1 2 5". */
/** CPUs by their numbers, in the kernel's notation of lists. */
function idsOf(list: string): string {
  return list
    .trim()
    .split(/[\s,]+/)
    .filter(Boolean)
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    })
    .join(" ");
}

/** The sum of what the first group of a global pattern matches; undefined without any match. */
export function sum(text: string, pattern: RegExp): number | undefined {
  const found = [...text.matchAll(pattern)].map(([, value]) => Number(value));
  return found.length === 0 ? undefined : found.reduce((all, value) => all + value, 0);
}

/** "1h 02:03", "3 min", "2 days, 1:02" of uptime, in seconds, to the minute. */
export function uptimeSeconds(text: string): number | undefined {
  const [, days = "0", clock] = /up +(?:(\d+) days?, +)?(\d+:\d+|\d+ min)/.exec(text) ?? [];
  if (clock === undefined) {
    return undefined;
  }
  const [first = 0, second] = clock.split(/:| min/).map(Number);
  const minutes = clock.includes(":") ? first * 60 + (second ?? 0) : first;
  return (Number(days) * 1440 + minutes) * 60;
}

/** Bytes of "256M", "1.5G" and the like, as htop prints them. */
export function humanMiB(text: string | undefined): number | undefined {
  const [, number, unit = ""] = /^([\d.]+)([KMGT]?)/.exec(text ?? "") ?? [];
  const scale: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2 };
  return number === undefined ? undefined : Number(number) * (scale[unit] ?? 1 / MIB);
}

/** The container's memory, in MiB. */
export function memory(size: Size, mib: number | undefined, isKernels = false): Claim {
  return { figure: "memory MiB", shown: mib, truth: size.memoryMiB, isKernels };
}

/** The container's swap space, in MiB. */
export function swap(size: Size, mib: number | undefined, isKernels = false): Claim {
  return { figure: "swap MiB", shown: mib, truth: size.swapMiB, within: 0.01, isKernels };
}

/** Memory in use, in MiB. */
export function used({ truth }: Span, mib: number | undefined): Claim {
  return { figure: "used MiB", shown: mib, truth: truth.usedMiB, within: CHARGE_MIB };
}

/** CPUs that a file shows. */
export function count(size: Size, shown: number | undefined): Claim {
  return { figure: "CPUs", shown, truth: size.cpus.length };
}

/** What sched_getaffinity(2) decides. */
export function affinity(size: Size, shown: number | undefined, figure = "CPUs"): Claim {
  return { figure, shown, truth: size.cpus.length, isKernels: size.isAnswered !== true };
}

/** Whether what sysinfo(2) says is the node's. */
export function asksKernel({ size }: { readonly size: Size }): boolean {
  return size.isAnswered !== true;
}

/** CPUs that there may be, as the host's kernel promises. */
export const POSSIBLE = idsOf(readFileSync("/sys/devices/system/cpu/possible", "utf8")).split(" ");

/** `cpuN` directories: of one CPU shown among several that threads run on, a second one stays. */
export function directories(size: Size): number {
  // Those below the highest are there as well.
  const below = Number(size.cpus.at(-1) ?? -1) + 1;
  return Math.max(below, Math.min(size.affinity, 2));
}

/** What _SC_NPROCESSORS_CONF is: glibc counted directories before 2.36. */
export function configuredCpus(size: Size, shown: number | undefined, figure: string): Claim {
  const [, major = 0, minor = 0] = (LIBC.match(/(\d+)\.(\d+)/) ?? []).map(Number);
  const readsPossible = major > 2 || minor >= 36;
  return { figure, shown, truth: readsPossible ? POSSIBLE.length : directories(size) };
}

export function ids(size: Size, shown: string | undefined): Claim {
  const list = shown === undefined ? undefined : idsOf(shown);
  return { figure: "CPU ids", shown: list, truth: size.cpus.join(" ") };
}

/** `percent`: of all CPUs that are shown. */
export function busyCpus(span: Span, percent: number | undefined): Claim {
  const shown = percent === undefined ? undefined : (percent / 100) * span.size.cpus.length;
  // Ticks of a second, and what a report has pending.
  return { figure: "busy CPUs", shown, truth: span.truth.busyCpus, within: 0.1 };
}

/** `step`: to how many seconds the tool rounds down. */
export function age(span: Span, seconds: number | undefined, step = 0, isKernels = false): Claim {
  const [low, high] = span.truth.age;
  return { figure: "uptime s", shown: seconds, truth: [low - step, high], within: 0.5, isKernels };
}

/** A date that a tool printed, in whole seconds, from a date of boot in whole seconds. */
export function since(span: Span, date: string, figure = "uptime s"): Claim {
  const [low, high] = span.truth.age;
  const shown = (Date.now() - Date.parse(date)) / 1000;
  return { figure, shown, truth: [low, high + 2], within: 0.5 };
}

function printed(value: number | string | Range | undefined): string {
  if (value === undefined || (typeof value === "number" && Number.isNaN(value))) {
    return "nothing";
  }
  if (typeof value === "object") {
    const [low, high] = value.map(printed);
    return low === high ? `${low}` : `${low} to ${high}`;
  }
  return typeof value === "number" ? `${Math.round(value * 100) / 100}` : value;
}

/** A row of the table: whether what a tool printed is true. */
export function judged(tool: string, claim: Claim): Row {
  const { figure, shown, truth, within = 0, isKernels = false } = claim;
  const [low, high] = typeof truth === "object" ? truth : [truth, truth];
  const isTrue =
    typeof shown === "number" && typeof low === "number" && typeof high === "number"
      ? shown >= low - within && shown <= high + within
      : shown === truth;
  const verdict = isTrue ? "true" : isKernels ? "not by files" : "WRONG";
  return { tool, figure, shown: printed(shown), truth: printed(truth), verdict };
}
