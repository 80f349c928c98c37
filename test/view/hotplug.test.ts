// CPUs that the host takes offline, in the moment before every cgroup knows of it.

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { FILES } from "../support/invariants.js";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";
import { HostFiles, renderFixture, viewsOf } from "../support/testing.js";

const CPU = "sys/devices/system/cpu";

/** A recorded container on a host with these CPUs online. */
function withOnline(name: string, online: string): string {
  const root = mkdtempSync(join(tmpdir(), testName("hotplug-")));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  cpSync(join(project, "test/fixtures", name), root, { recursive: true });
  writeFileSync(join(root, CPU, "online"), `${online}\n`);
  return root;
}

describe.each([
  // Eight of 8 to 40 where there are 128, and 1 to 3 on v1.
  ["v2-x86-128cpu", "0-9,12-127", [8, 9, 12, 13, 14, 15, 16, 17]],
  ["v2-x86-128cpu", "0-7,15", [15]],
  ["v1-x86", "0,2-3", undefined],
  ["v1-x86", "3", undefined],
])("%s with CPUs %s", (name, online, expected) => {
  it("shows in every file those that are online", () => {
    const root = withOnline(name, online);
    const sets = viewsOf(root).flatMap((path) => {
      // Not about CPUs, and on v1 there is none.
      if (path.startsWith("proc/pressure/")) {
        return [];
      }
      const cpus = FILES[path]?.(renderFixture(root, path)).cpus;
      return cpus === undefined ? [] : [[path, [...cpus]] as const];
    });
    const [, first] = sets.find(([path]) => path === `${CPU}/online`) ?? [];
    expect(first?.length).toBeGreaterThan(0);
    expect(sets.length).toBeGreaterThan(5);
    for (const [path, cpus] of sets) {
      expect({ path, cpus }).toEqual({ path, cpus: expected ?? first });
    }
  });
});

describe("a host none of whose CPUs the container may use", () => {
  it("still shows one", () => {
    const root = withOnline("v2-x86-128cpu", "0-3");
    expect(renderFixture(root, `${CPU}/online`)).toMatch(/^\d+(-\d+)?\n$/);
    expect(renderFixture(root, "proc/stat")).toMatch(/^cpu\d+ /m);
  });
});

describe("cpuinfo of a host", () => {
  it("is parsed again only when it has changed", () => {
    const root = withOnline("v1-x86", "0-3");
    const cpuinfo = join(root, "proc/cpuinfo");
    const text = readFileSync(cpuinfo, "utf8");
    const files = new HostFiles(root, 10_000n);
    const keeps = [
      text,
      text,
      text.replace(/cpu MHz.*/, "cpu MHz\t\t: 1.0"),
      text.trimEnd(),
      "",
    ].map((now, second) => {
      writeFileSync(cpuinfo, now);
      return files.keepsCpuinfo(1n + BigInt(second) * 1_000_000n);
    });
    expect(keeps).toEqual([false, true, false, false, false]);
  });
});

describe("cpuinfo of a host whose CPU 3 comes online", () => {
  const TICK_US = 10_000n;

  /** cpuinfo without CPU 3, and then with it. */
  function withThird(): { files: HostFiles; comeOnline: (described: boolean) => void } {
    const root = withOnline("v1-x86", "0-2");
    const cpuinfo = join(root, "proc/cpuinfo");
    const all = readFileSync(cpuinfo, "utf8");
    writeFileSync(cpuinfo, all.slice(0, all.indexOf("processor\t: 3\n")));
    return {
      files: new HostFiles(root, TICK_US),
      comeOnline: (described) => {
        writeFileSync(join(root, CPU, "online"), "0-3\n");
        if (described) writeFileSync(cpuinfo, all);
      },
    };
  }

  it("has it as soon as every other file", () => {
    const { files, comeOnline } = withThird();
    expect(files.described(1n)).toEqual([0, 1, 2]);
    comeOnline(true);
    expect(files.described(TICK_US)).toEqual([0, 1, 2]);
    expect(files.described(1n + TICK_US)).toEqual([0, 1, 2, 3]);
  });

  it("is read for it once where the kernel does not describe it", () => {
    const { files, comeOnline } = withThird();
    expect(files.described(1n)).toEqual([0, 1, 2]);
    comeOnline(false);
    expect(files.described(1n + TICK_US)).toEqual([0, 1, 2]);
    comeOnline(true);
    expect(files.described(1n + 2n * TICK_US)).toEqual([0, 1, 2]);
    expect(files.described(1n + TICK_US + 1_000_000n)).toEqual([0, 1, 2, 3]);
  });
});
