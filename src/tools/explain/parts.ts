import { join } from "node:path";
import type { CgroupPlace, LocatedContainer } from "../../native/binding.js";
import { chainOf, limitOf, readFigure, valueIn } from "../cgroup-files.js";

/** A file that goes into a figure, and its value now. */
export interface SourceValue {
  readonly path: string;
  /** The line or key that is used; "" for the whole file. */
  readonly key: string;
  readonly value: string;
  /** What it means here. */
  readonly means: string;
}

/** The container, and how to read its files. */
export interface Inputs {
  readonly container: LocatedContainer;
  /** The bytes of a file of the container, such as proc/meminfo. */
  readonly read: (path: string) => string;
  /** What ZFS's cache would give back, bytes. */
  readonly arc: number;
}

/** Some of the files that go into a figure. */
export interface Part {
  readonly sources: readonly SourceValue[];
  /** The cgroup directory whose limit decides the figure. */
  readonly decidedBy?: string | undefined;
}

/** A figure that can be explained. */
export interface Field {
  readonly names: readonly string[];
  readonly file: string;
  readonly formula: string;
  readonly parts: (inputs: Inputs) => readonly Part[];
  readonly result: (text: string) => string | undefined;
}

const HOST_MEMINFO = "/proc/meminfo";

/** `value` of a file or of one key in it; undefined: it is not there. */
export function source(path: string, key: string, value: unknown, means: string): SourceValue {
  return { path, key, value: value === undefined ? "missing" : String(value), means };
}

/** The value of a line of meminfo, such as "1024 kB"; undefined: there is no such line. */
export function meminfoValue(text: string | undefined, label: string): string | undefined {
  const line = text?.split("\n").find((one) => one.startsWith(`${label}:`));
  return line?.slice(label.length + 1).trim();
}

/** A line of the host's meminfo. */
export function hostMeminfo(label: string, means: string): Part {
  const value = meminfoValue(readFigure(HOST_MEMINFO), label);
  return { sources: [source(HOST_MEMINFO, label, value, means)] };
}

/** What ZFS's cache would give back; nothing on a host without ZFS. */
export function zfsCache({ arc }: Inputs): Part {
  const means = "what ZFS's cache would give back, bytes";
  return { sources: arc === 0 ? [] : [source("/proc/spl/kstat/zfs/arcstats", "", arc, means)] };
}

/** Bytes of a line of the host's meminfo; infinite if there is no such line. */
export function hostBytes(label: string): number {
  const found = /^(\d+) kB$/.exec(meminfoValue(readFigure(HOST_MEMINFO), label) ?? "")?.[1];
  return found === undefined ? Number.POSITIVE_INFINITY : Number(found) * 1024;
}

/** The first of those for which `measure` is smallest. */
export function leastBy<T>(all: readonly T[], measure: (one: T) => number): T | undefined {
  const least = Math.min(...all.map(measure));
  return all.find((one) => measure(one) === least);
}

/** A limit along the chain: the smallest one decides, if it is below `ceiling`. */
export function limits(
  place: CgroupPlace | undefined,
  v2: string,
  v1: string,
  means: string,
  ceiling = Number.POSITIVE_INFINITY,
): Part {
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", means)] };
  }
  const file = place.v2 ? v2 : v1;
  const found = chainOf(place).map((directory) => {
    const path = join(directory, file);
    const text = readFigure(path);
    return { directory, path, text, limit: limitOf(text) ?? Number.POSITIVE_INFINITY };
  });
  const lower = found.filter(({ limit }) => limit < ceiling);
  return {
    sources: found
      .filter(({ text }) => text !== undefined)
      .map(({ path, text }, level) =>
        source(path, "", text, level === 0 ? means : "of an ancestor"),
      ),
    decidedBy: leastBy(lower, ({ limit }) => limit)?.directory,
  };
}

/** One file of the container's own cgroup. */
export function own(
  place: CgroupPlace | undefined,
  v2: readonly [file: string, key: string],
  v1: readonly [file: string, key: string],
  means: string,
): Part {
  if (place === undefined) {
    return { sources: [source("-", "", "no controller", means)] };
  }
  const [file, key] = place.v2 ? v2 : v1;
  const path = join(chainOf(place)[0] ?? "", file);
  const text = readFigure(path);
  return { sources: [source(path, key, key === "" ? text : valueIn(text, key), means)] };
}
