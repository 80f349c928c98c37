import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CgroupPlace } from "../native/binding.js";

/** The trimmed content of a file; undefined if it cannot be read. */
export function readFigure(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The value of a key in "key value" lines. */
export function valueIn(text: string | undefined, key: string): number | undefined {
  for (const line of (text ?? "").split("\n")) {
    const [name, value] = line.split(/\s+/);
    if (name === key && value !== undefined && /^\d+$/.test(value)) {
      return Number(value);
    }
  }
  return undefined;
}

/** v1 reports a number this large or larger if there is no limit. */
const NO_LIMIT = 2 ** 62;

/** A limit; undefined if there is none ("max", -1, or NO_LIMIT). */
export function limitOf(text: string | undefined): number | undefined {
  const value = Number(text);
  return text === undefined || !/^\d+$/.test(text) || value >= NO_LIMIT ? undefined : value;
}

/** A container's cgroup directory and those of its ancestors, up to the root. */
export function chainOf(place: CgroupPlace): string[] {
  const chain: string[] = [];
  for (let path = place.path; ; path = dirname(path)) {
    chain.push(path === "/" ? place.mount : join(place.mount, path));
    if (path === "/" || path === ".") {
      return chain;
    }
  }
}
