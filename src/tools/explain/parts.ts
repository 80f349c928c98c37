import { join } from "node:path";
import type { CgroupPlace, ContainerInfo } from "../../native/binding.js";
import { chainOf, limitOf, readFigure, valueIn } from "../cgroup-files.js";

/** A file that goes into a figure, with what it says now. */
export interface SourceValue {
  readonly path: string;
  /** The line or key that counts; "" for the whole file. */
  readonly key: string;
  readonly value: string;
  /** What it means here. */
  readonly means: string;
}

/** Where a container's files are read from. */
export interface Inputs {
  readonly container: ContainerInfo;
  /** The bytes of a file of the container, such as proc/meminfo. */
  readonly read: (path: string) => string;
}

/** Some of the files that go into a figure, and the directory of the one that decided. */
export interface Part {
  readonly sources: readonly SourceValue[];
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

/** A line of the host's meminfo. */
export function hostMeminfo(label: string, means: string): Part {
  const text = readFigure(HOST_MEMINFO);
  const line = text?.split("\n").find((one) => one.startsWith(`${label}:`));
  return { sources: [source(HOST_MEMINFO, label, line?.slice(label.length + 1).trim(), means)] };
}

/** Bytes of a line of the host's meminfo; unlimited where it is not there. */
export function hostBytes(label: string): number {
  const line = readFigure(HOST_MEMINFO)
    ?.split("\n")
    .find((one) => one.startsWith(`${label}:`));
  const found = /: +(\d+) kB$/.exec(line ?? "")?.[1];
  return found === undefined ? Number.POSITIVE_INFINITY : Number(found) * 1024;
}

/** A limit along the chain: the smallest one decides, unless what the host has is less. */
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
    return { directory, path, text: readFigure(path), limit: limitOf(readFigure(path)) };
  });
  const smallest = found
    .filter(({ limit }) => limit !== undefined && limit < ceiling)
    .reduce<(typeof found)[number] | undefined>(
      (least, one) => (least === undefined || (one.limit ?? 0) < (least.limit ?? 0) ? one : least),
      undefined,
    );
  return {
    sources: found
      .filter(({ text }) => text !== undefined)
      .map(({ path, text }, level) =>
        source(path, "", text, level === 0 ? means : "of an ancestor"),
      ),
    decidedBy: smallest?.directory,
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
