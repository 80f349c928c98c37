// The truth table: what the usual tools say in loaded containers, beside what their cgroups say.
// `npm run truth` prints it.

import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { lxcCalls, seccompProfile } from "../support/calls.js";
import { MIB } from "../support/cgroups.js";
import { haveProgram } from "../support/command.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { cpuList } from "../support/procfile.js";
import { isLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import type { Row, Size } from "../support/truth/claims.js";
import { truthTable } from "../support/truth/table.js";
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
  /** Its runtime hands sysinfo(2) and sched_getaffinity(2) over. */
  readonly answered?: boolean;
}

/** What containers hand over where they do. */
const CALLED = ["sysinfo", "sched_getaffinity"];

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

  let sockets: string;

  beforeAll(async () => {
    swapOn(scope, 320);
    sockets = temporaryDirectory(scope, "calls");
    daemon = await Daemon.start(scope, "--calls-directory", sockets, "--affinity", "on");
    cpus = cpuList(await daemon.read("sys/devices/system/cpu/online"));
  });

  const sets = [
    { memory: 512, swap: 256, quota: 1.5, more: 2.5 },
    { memory: 256, swap: 0, quota: 1 },
    { memory: 300, swap: 64, last: true },
    { memory: 256, swap: 128, quota: 1, answered: true },
  ] as const;
  // Not all with all: that is for who asks for the table.
  const isAll = isLong || process.env.VPROCFS_TRUTH !== undefined;
  const kinds: readonly (readonly [string, string, readonly Limits[]])[] = [
    ["LXC", "lxc-start", isAll ? sets : [sets[3]]],
    ["runc", "runc", isAll ? sets : [sets[2]]],
    ["crun", "crun", isAll ? sets : []],
  ];
  const asked = kinds.filter(([, , own]) => own.length > 0);
  const runnable = asked.filter(([, name]) => haveProgram(name));

  if (runnable.length < asked.length) {
    it("some of LXC, runc and crun are missing", (ctx) => {
      ctx.skip(`only here: ${runnable.map(([kind]) => kind).join(", ")}`);
    });
  }

  describe.each(runnable)("%s", (kind, _, own) => {
    it.each([...own])("%o", { timeout: 240_000 }, async (set) => {
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
      const isAnswered = set.answered === true;
      const lines = isAnswered ? lxcCalls(scope, sockets, CALLED) : [];
      const seccomp = isAnswered && {
        seccomp: seccompProfile(join(sockets, "oci.sock"), CALLED),
      };
      const container =
        kind === "LXC"
          ? await LxcContainer.withHook(scope, daemon, {
              ...options,
              lines,
              byInit: isAnswered,
            })
          : await OciContainer.start(scope, kind, daemon, options, { ...seccomp });
      // Under its quota of one CPU all tools would take twice as long.
      for (const script of isAnswered ? LOAD.slice(0, 1) : LOAD) {
        container.background(scope, ["/bin/sh", "-c", script]);
      }
      await until("it is loaded", () => existsSync(`/proc/${container.init}/root/tmp/loaded`));
      const usable = cpuset ?? cpus;
      const size: Size = {
        memoryMiB: memory,
        swapMiB: swap,
        cpus: usable.slice(0, Math.ceil(quota ?? usable.length)),
        affinity: usable.length,
        isAnswered,
      };
      const rows = await truthTable(container, size);
      const words = [
        quota === undefined ? `CPU ${cpuset}` : `${quota} CPU${quota === 1 ? "" : "s"}`,
        `${memory} MiB`,
        swap === 0 ? "no swap" : `${swap} MiB swap`,
        ...(isAnswered ? ["system calls answered"] : []),
      ];
      report(kind, words.join(", "), rows);
      expect(rows.filter(({ verdict }) => verdict === "WRONG")).toEqual([]);
      expect(rows.filter(({ verdict }) => verdict === "true").length).toBeGreaterThan(20);
    });
  });
});
