import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { CgroupPlace } from "../native/binding.js";

/** The trimmed content; undefined where the file is not there or cannot be read. */
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

/** A limit of v1 this large is none. */
const NO_LIMIT = 2 ** 62;

/** A number that limits; undefined for "max", -1 and v1's way to say so. */
export function limitOf(text: string | undefined): number | undefined {
  const value = Number(text);
  return text === undefined || !/^\d+$/.test(text) || value >= NO_LIMIT ? undefined : value;
}

/** A container's cgroup directory and those above it, from the container's own upwards. */
export function chainOf(place: CgroupPlace): string[] {
  const chain: string[] = [];
  for (let path = place.path; ; path = dirname(path)) {
    chain.push(path === "/" ? place.mount : join(place.mount, path));
    if (path === "/" || path === ".") {
      return chain;
    }
  }
}
