// The truth table: what the usual tools say in loaded containers, beside what their cgroups say.
// `npm run truth` prints it.

import { appendFileSync, existsSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { Daemon } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { cpuList } from "../support/procfile.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { type Row, type Size, truthTable } from "../support/truth.js";
import { until } from "../support/wait.js";

/** Together they hold 50 MB and ask for two CPUs, for ever. */
const LOAD = [
  "x=$(head -c 50000000 /dev/zero | tr '\\0' x); : >/tmp/loaded; while :; do :; done",
  "while :; do :; done",
];

interface Limits {
  readonly memory: number;
  readonly swap: number;
  /** CPUs; none: what the cpuset says. */
  readonly quota?: number;
  /** Where there are that many. */
  readonly more?: number;
  /** The last CPU alone, by cpuset. */
  readonly last?: boolean;
}

/** What `npm run truth` reads: one JSON object in a line. */
function report(where: string, limits: string, rows: readonly Row[]): void {
  const file = process.env.VPROCFS_TRUTH;
  if (file !== undefined) {
    appendFileSync(file, `${JSON.stringify({ where, limits, rows })}\n`);
  }
}

describeLive("the truth table", ["free", "top", "vmstat", "lscpu", "busybox"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let cpus: number[];

  beforeAll(async () => {
    swapOn(scope, 320);
    daemon = await Daemon.start(scope);
    cpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  const sets = [
    { memory: 512, swap: 256, quota: 1.5, more: 2.5 },
    { memory: 256, swap: 0, quota: 1 },
    { memory: 300, swap: 64, last: true },
  ] as const;
  // Not all with all: that is for who asks for the table.
  const isAll = process.env.VPROCFS_TRUTH !== undefined;
  const kinds = [
    ["LXC", "lxc-start", isAll ? sets : [sets[0], sets[2]]],
    ["runc", "runc", isAll ? sets : [sets[1]]],
    ["crun", "crun", isAll ? sets : [sets[2]]],
  ] as const;
  const runnable = kinds.filter(([, name]) => haveProgram(name));

  if (runnable.length < kinds.length) {
    it("some of LXC, runc and crun are missing", (ctx) => {
      ctx.skip(`only here: ${runnable.map(([kind]) => kind).join(", ")}`);
    });
  }

  describe.each(runnable)("%s", (kind, _, own) => {
    it.each<Limits>([...own])("%o", { timeout: 240_000 }, async (set) => {
      const scope = testScope();
      const { memory, swap } = set;
      const quota = cpus.length > 2 ? (set.more ?? set.quota) : set.quota;
      const cpuset = set.last === true ? cpus.slice(-1) : undefined;
      const options = {
        memory: memory * MIB,
        swap: swap * MIB,
        quota: quota ?? cpus.length,
        ...(cpuset !== undefined && { cpuset: `${cpuset[0]}` }),
      };
      const container =
        kind === "LXC"
          ? await LxcContainer.withHook(scope, daemon, options)
          : await OciContainer.start(scope, kind, daemon, options);
      for (const script of LOAD) {
        container.background(scope, ["/bin/sh", "-c", script]);
      }
      await until("it is loaded", () => existsSync(`/proc/${container.init}/root/tmp/loaded`));
      const usable = cpuset ?? cpus;
      const size: Size = {
        memoryMiB: memory,
        swapMiB: swap,
        cpus: usable.slice(0, Math.ceil(quota ?? usable.length)),
        affinity: usable.length,
      };
      const rows = await truthTable(container, size);
      const words = [
        quota === undefined ? `CPU ${cpuset}` : `${quota} CPU${quota === 1 ? "" : "s"}`,
        `${memory} MiB`,
        swap === 0 ? "no swap" : `${swap} MiB swap`,
      ];
      report(kind, words.join(", "), rows);
      expect(rows.filter(({ verdict }) => verdict === "WRONG")).toEqual([]);
      expect(rows.filter(({ verdict }) => verdict === "true").length).toBeGreaterThan(20);
    });
  });
});
