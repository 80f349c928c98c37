// The kernel's own cgroups: what recorded trees cannot show.

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { testName } from "../support/names.js";
import { program } from "../support/programs.js";
import { testScope } from "../support/test-scope.js";
import { Source } from "../support/testing.js";
import { codeOr } from "./tree.js";

const MIB = 2 ** 20;
/** More than one reading of memory takes, of limits that have changed. */
const READS = 40;
const root = "/sys/fs/cgroup";
const v2 = existsSync(join(root, "cgroup.controllers"));

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return process.getuid?.() === 0 && existsSync(join(path, "cgroup.procs"));
  } catch {
    return false;
  }
}

/** A memory and a cpu hierarchy of this machine; on v2 both are one. */
const memoryRoot = v2 ? root : join(root, "memory");
const cpuRoot = v2 ? root : join(root, "cpu");
const usable = writable(memoryRoot) && writable(cpuRoot);

/** Nested cgroups in both hierarchies, removed when the test has ended. */
class Nest {
  readonly paths: string[] = [];
  #gone = 0;

  constructor(depth: number) {
    const top = testName("live");
    for (let level = 0; level < depth; level += 1) {
      this.paths.push(`/${[top, ...Array.from({ length: level }, () => "n")].join("/")}`);
    }
    for (const path of this.paths) {
      for (const hierarchy of this.#roots()) {
        mkdirSync(join(hierarchy, path));
      }
    }
    onTestFinished(() => {
      while (this.#gone < depth) {
        this.removeLeaf();
      }
    });
  }

  get leaf(): string {
    return this.paths.at(-1) ?? "";
  }

  #roots(): string[] {
    return v2 ? [root] : [memoryRoot, cpuRoot];
  }

  removeLeaf(): void {
    this.#gone += 1;
    for (const hierarchy of this.#roots()) {
      rmdirSync(join(hierarchy, this.paths.at(-this.#gone) ?? ""));
    }
  }

  /** All controllers for the children of the cgroup at `level` (v2). */
  control(level: number, change: string): void {
    writeFileSync(join(root, this.paths[level] ?? "", "cgroup.subtree_control"), change);
  }

  limitMemory(level: number, bytes: number): void {
    const name = v2 ? "memory.max" : "memory.limit_in_bytes";
    writeFileSync(join(memoryRoot, this.paths[level] ?? "", name), `${bytes}`);
  }

  /** The files that the kernel lets be written as they are. */
  memoryLimits(level: number): string[] {
    const names = v2
      ? ["memory.max", "memory.high"]
      : ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
    return names.map((name) => join(memoryRoot, this.paths[level] ?? "", name));
  }

  limitCpu(level: number, quotaUs: number): void {
    const [name, value] = v2
      ? ["cpu.max", `${quotaUs} 100000`]
      : ["cpu.cfs_quota_us", `${quotaUs}`];
    writeFileSync(join(cpuRoot, this.paths[level] ?? "", name), value);
  }

  source(): Source {
    const line = (id: string) => `${id}:${this.leaf}\n`;
    return new Source(null, v2 ? line("0:") : line("2:memory") + line("1:cpu"), true);
  }
}

/** System calls that read, of this thread and so far. */
function readsSoFar(): number {
  return Number(/^syscr: (\d+)$/m.exec(readFileSync("/proc/thread-self/io", "utf8"))?.[1]);
}

describe.runIf(usable)("this machine's cgroups", () => {
  it.runIf(existsSync("/proc/thread-self/io"))(
    "cost one read more for each cgroup above that has a limit, and a second where it is tighter",
    () => {
      const depth = 6;
      const nest = new Nest(depth);
      for (let level = 0; v2 && level < depth - 1; level += 1) {
        nest.control(level, "+memory");
      }
      const source = nest.source();
      // From the leaf's own limit up they leave more and more.
      const roomy = (level: number): number => (100 - level) * MIB;
      const cost = (work: () => unknown): number => {
        const before = readsSoFar();
        work();
        return readsSoFar() - before;
      };
      const reading = (): number => {
        source.memory(); // limits that have changed are read
        return cost(() => source.memory());
      };
      const nothing = cost(() => {});
      nest.limitMemory(depth - 1, roomy(depth - 1));
      const own = reading();
      expect(own).toBeGreaterThan(nothing);
      for (let level = depth - 2; level >= 0; level -= 1) {
        nest.limitMemory(level, roomy(level));
        expect(reading() - own).toBeLessThanOrEqual(depth - 1 - level);
      }
      const all = reading();
      expect(all - own).toBe(depth - 1);
      nest.limitMemory(0, 10 * MIB);
      expect(reading() - all).toBeLessThanOrEqual(1);
      // What they leave follows them. The kernel charges a cgroup for those below it.
      const leave = (limit: number): void => {
        const room = Number(source.memory().roomBytes);
        expect(room).toBeLessThanOrEqual(limit);
        expect(room).toBeGreaterThan(limit - 8 * MIB);
      };
      leave(10 * MIB);
      nest.limitMemory(0, roomy(0));
      leave(roomy(depth - 1));
      nest.limitMemory(2, 20 * MIB);
      leave(20 * MIB);
    },
  );

  it("limits anywhere on the chain are seen at once", () => {
    const depth = 6;
    const nest = new Nest(depth);
    for (let level = 0; v2 && level < depth - 1; level += 1) {
      nest.control(level, "+memory +cpu");
    }
    const source = nest.source();
    expect(source.memory().limitBytes).toBeNull();
    expect(source.limits().bandwidth).toBeNull();
    for (let round = 0; round < 50; round += 1) {
      const bytes = (200 - round) * 2 ** 20;
      nest.limitMemory(round % depth, bytes);
      expect(source.memory().limitBytes).toBe(BigInt(bytes));
    }
    // From the leaf up: v1 refuses a quota above the parent's.
    for (let level = depth - 1; level >= 0; level -= 1) {
      const quota = 10_000 + level * 1000;
      for (let lower = depth - 1; lower >= level; lower -= 1) {
        nest.limitCpu(lower, quota);
      }
      expect(source.limits().bandwidth).toEqual({ quotaUs: BigInt(quota), periodUs: 100_000n });
    }
  });

  it.runIf(existsSync("/proc/thread-self/io"))(
    "cost a read or two more while limits are written without end, and limits above are seen at once",
    async () => {
      const nest = new Nest(2);
      if (v2) {
        nest.control(0, "+memory");
      }
      const source = nest.source();
      source.memory();
      const scope = testScope();
      const child = spawn(program("relimit"), ["2", "0", ...nest.memoryLimits(1)]);
      const ended = once(child, "close");
      scope.defer(async () => {
        child.kill("SIGKILL");
        await ended;
      });
      await once(child.stdout, "data");
      let most = 0;
      for (let round = 0; round < 2000; round += 1) {
        const bytes = (3000 - round) * MIB;
        nest.limitMemory(0, bytes);
        const before = readsSoFar();
        const { limitBytes } = source.memory();
        most = Math.max(most, readsSoFar() - before);
        expect(limitBytes).toBe(BigInt(bytes));
      }
      expect(child.exitCode).toBeNull();
      expect(most).toBeLessThan(READS);
    },
  );

  it.runIf(v2)("a controller enabled after opening counts, and disabled again does not", () => {
    const nest = new Nest(2);
    const source = nest.source();
    expect(source.memory().usageBytes).toBeNull();
    for (let round = 0; round < 3; round += 1) {
      nest.control(0, "+memory");
      nest.limitMemory(1, 2 ** 20);
      expect(source.memory()).toMatchObject({ usageBytes: 0n, limitBytes: 2n ** 20n });
      nest.control(0, "-memory");
      expect(source.memory()).toMatchObject({ usageBytes: null, limitBytes: null });
    }
  });

  it("a cgroup that was removed is gone, whatever takes its name", () => {
    const nest = new Nest(2);
    const source = nest.source();
    expect(codeOr(() => source.memory())).toHaveProperty("limitBytes");
    expect(codeOr(() => source.limits())).toHaveProperty("bandwidth");
    expect(codeOr(() => source.usage())).toHaveProperty("userUs");
    nest.removeLeaf();
    for (const name of ["memory", "limits", "usage"] as const) {
      expect(codeOr<unknown>(() => source[name]())).toBe("ENODEV");
    }
    const again = new Nest(1);
    expect(codeOr(() => again.source().memory())).toHaveProperty("limitBytes");
    expect(codeOr(() => source.memory())).toBe("ENODEV");
  });
});
