// docs/design/architecture.md draws which directories of native/ include which, and names files.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { project } from "../support/project.js";

const native = join(project, "native");
const page = readFileSync(join(project, "docs/design/architecture.md"), "utf8");

type Edge = readonly [from: string, to: string];

/** The arrows of the picture whose text is below a heading. */
function drawn(): Edge[] {
  const section = page.split("## Includes of native/")[1] ?? "";
  const picture = /```mermaid\n(.*?)```/s.exec(section)?.[1] ?? "";
  return [...picture.matchAll(/^ +(\w+) --> (\w+)$/gm)].map(([, from = "", to = ""]) => [from, to]);
}

/** The part that a path below native/ belongs to. */
function partOf(path: string): string {
  return dirname(path).split("/")[0] ?? "";
}

/** The addon of the tests looks at every part, and ships with none. */
const SHIPPED = (part: string): boolean => part !== "testing";

/** Which part includes which, as the sources say. */
function included(): Edge[] {
  const files = readdirSync(native, { recursive: true, encoding: "utf8" });
  const edges = new Map<string, Edge>();
  for (const file of files.filter((name) => /\.(cc|h|def)$/.test(name))) {
    const from = partOf(file);
    const text = readFileSync(join(native, file), "utf8");
    for (const [, name = ""] of text.matchAll(/^#include "([^"]+)"/gm)) {
      const to = existsSync(join(native, name)) ? partOf(name) : from;
      if (from !== to && SHIPPED(from)) {
        edges.set(`${from} --> ${to}`, [from, to]);
      }
    }
  }
  return [...edges.values()];
}

/** Everything that can be reached from a part. */
function reachable(edges: readonly Edge[], from: string, seen = new Set<string>()): Set<string> {
  for (const [, to] of edges.filter(([start]) => start === from)) {
    if (!seen.has(to)) {
      seen.add(to);
      reachable(edges, to, seen);
    }
  }
  return seen;
}

const text = ([from, to]: Edge): string => `${from} --> ${to}`;

describe("the picture of native/", () => {
  const arrows = drawn();
  const includes = included();

  it("has no arrow without an include", () => {
    expect(arrows.length).toBeGreaterThan(10);
    const real = new Set(includes.map(text));
    expect(arrows.map(text).filter((arrow) => !real.has(arrow))).toEqual([]);
  });

  it("leads to everything that is included", () => {
    const missing = includes.filter(([from, to]) => !reachable(arrows, from).has(to));
    expect(missing.map(text)).toEqual([]);
  });

  it("has no arrow that others make superfluous, and no circle", () => {
    const others = (arrow: Edge) => arrows.filter((one) => one !== arrow);
    expect(arrows.filter((one) => reachable(others(one), one[0]).has(one[1])).map(text)).toEqual(
      [],
    );
    expect(arrows.filter(([from]) => reachable(arrows, from).has(from)).map(text)).toEqual([]);
  });
});

/** The names in the first column of the table whose text is below a heading. */
function rows(heading: string): string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const cells = [...section.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => cell.split(", ").map((name) => name.replaceAll("`", ""))).sort();
}

function entries(directory: string) {
  return readdirSync(join(project, directory), { withFileTypes: true });
}

describe("the tables of the architecture page", () => {
  it("have a row for every directory of native/", () => {
    const directories = entries("native").filter((entry) => entry.isDirectory());
    expect(rows("Directories of native/")).toEqual(directories.map(({ name }) => name).sort());
  });

  it("have a row for every module of src/", () => {
    const modules = entries("src").map((one) => (one.isDirectory() ? `${one.name}/` : one.name));
    expect(rows("src/")).toEqual(modules.sort());
  });
});

describe("the architecture page", () => {
  const named = [...page.matchAll(/`([\w./-]+\.(?:cc|h|def|ts))`/g)].map(([, name = ""]) => name);

  it.each([...new Set(named)])("names %s, which exists", (name) => {
    const places = ["", "native", "src", "src/native"].map((base) => join(project, base, name));
    expect(places.some((path) => existsSync(path))).toBe(true);
  });
});
