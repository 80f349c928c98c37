// How limited cgroups are made by hand, on trees that look like each layout.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  findHierarchies,
  limitSteps,
  limitsMemory,
  placeSteps,
  type Step,
} from "../../src/demo/cgroups.js";
import { parseMountinfo } from "../../src/mountinfo.js";
import { testName } from "../support/names.js";

const LIMITS = { memoryBytes: 2 ** 28, swapBytes: 2 ** 27, cpus: 1.5 };

describe("cgroups with limits", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), testName("cgroups-")));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function file(path: string, text = ""): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }

  /** The hierarchies of a table with mounts below the root of the test. */
  function hierarchies(
    ...mounts: readonly (readonly [place: string, type: string, words: string])[]
  ) {
    const lines = mounts.map(
      ([place, type, words], index) =>
        `${index + 2} 1 0:${index} / ${join(root, place)} rw - ${type} ${type} rw,${words}`,
    );
    return findHierarchies(parseMountinfo(lines.join("\n")));
  }

  const named = (steps: readonly Step[]) =>
    steps.map(([kind, path, ...value]) => [kind, relative(root, path), ...value]);

  it("of v2 enable controllers above and limit in one directory", () => {
    file("u/cgroup.controllers", "cpuset cpu memory pids\n");
    file("u/cgroup.subtree_control", "memory\n");
    file("u/box/memory.swap.max", "max\n");
    const found = hierarchies(["u", "cgroup2", "nsdelegate"]);
    expect([found.layout, limitsMemory(found)]).toEqual(["v2", true]);
    expect(named(placeSteps(found, "box"))).toEqual([
      ["write", "u/cgroup.subtree_control", "+cpu"],
      ["directory", "u/box"],
    ]);
    expect(named(limitSteps(found, "box", { ...LIMITS, cpuShares: 2048 }))).toEqual([
      ["write", "u/box/cpu.max", "150000 100000"],
      ["write", "u/box/cpu.weight", "200"],
      ["write", "u/box/memory.max", "268435456"],
      ["write", "u/box/memory.swap.max", "134217728"],
    ]);
  });

  it("of v1 fill the cpuset, and limit memory and swap together", () => {
    file("memory/memory.memsw.limit_in_bytes", "");
    file("cpuset/cpuset.cpus", "0-1\n");
    file("cpuset/cpuset.mems", "0\n");
    const found = hierarchies(
      ["cpu", "cgroup", "cpu,cpuacct"],
      ["cpuset", "cgroup", "cpuset"],
      ["memory", "cgroup", "memory"],
      ["systemd", "cgroup", "name=systemd"],
    );
    expect(found.layout).toBe("v1");
    expect(named(placeSteps(found, "box"))).toEqual([
      ["directory", "cpu/box"],
      ["directory", "cpuset/box"],
      ["directory", "memory/box"],
      ["write", "cpuset/box/cpuset.cpus", "0-1"],
      ["write", "cpuset/box/cpuset.mems", "0"],
    ]);
    expect(named(limitSteps(found, "box", LIMITS))).toEqual([
      ["write", "cpu/box/cpu.cfs_period_us", "100000"],
      ["write", "cpu/box/cpu.cfs_quota_us", "150000"],
      ["write", "memory/box/memory.limit_in_bytes", "268435456"],
      ["write", "memory/box/memory.memsw.limit_in_bytes", "402653184"],
    ]);
  });

  it("are in both where controllers are on v1 and names on v2", () => {
    file("u/cgroup.controllers", "\n");
    file("u/cgroup.subtree_control", "\n");
    const found = hierarchies(["u", "cgroup2", "x"], ["memory", "cgroup", "memory"]);
    expect(found.layout).toBe("hybrid");
    expect(named(placeSteps(found, "box"))).toEqual([
      ["directory", "memory/box"],
      ["directory", "u/box"],
    ]);
  });
});
