// Containers in containers: the inner ones see their own, tighter limits, and can be started at all.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { filesOf, PLACES } from "../support/attach.js";
import { isV2, MIB } from "../support/cgroups.js";
import { output } from "../support/command.js";
import { Daemon } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { fillRootfs } from "../support/oci.js";
import { memTotalKb } from "../support/procfile.js";
import type { Scope } from "../support/scope.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const OUTER = { memory: 256 * MIB, swap: 0, quota: 1 };
const INNER = { memory: 64 * MIB, swap: 0, quota: 1 };
/** What LXC's nesting.conf has. */
const NESTING = [
  "lxc.mount.entry = proc dev/.lxc/proc proc create=dir,optional 0 0",
  "lxc.mount.entry = sys dev/.lxc/sys sysfs create=dir,optional 0 0",
];
const MINE = ["--watch", "on", "--attach-only", `*vprocfs-test-${process.pid}-*`];

/** Files for an inner container, in the root file system of the outer one. */
async function prepare(outer: string, userBase: number | undefined, files: readonly string[][]) {
  const inner = join(outer, "inner");
  fillRootfs(join(inner, "rootfs"));
  for (const [name = "", text = ""] of files) {
    writeFileSync(join(inner, name), text);
  }
  if (userBase !== undefined) {
    await output(["chown", "-R", "-h", `${userBase}:${userBase}`, inner]);
  }
}

describeLive("nesting", ["lxc-start", "lxc-attach", "unshare"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hostKb: number;

  beforeAll(async () => {
    daemon = await Daemon.start(scope, ...MINE);
    hostKb = memTotalKb(await daemon.read("proc/meminfo"));
  });

  describe.each([
    ["privileged", undefined],
    ["in a user namespace", 500_000],
  ])("in LXC, %s", (_, userBase) => {
    const own = fileScope();
    let outer: LxcContainer;

    beforeAll(async () => {
      outer = await start(own);
    });

    async function start(its: Scope): Promise<LxcContainer> {
      const container = await LxcContainer.start(its, {
        ...OUTER,
        ...(userBase !== undefined && { userBase }),
        hostUsr: true,
        lines: [...NESTING, "lxc.mount.auto = cgroup:rw:force"],
      });
      await until("it has its files", () => filesOf(container.init).length === PLACES.length);
      return container;
    }

    /** A command inside the inner container sees the inner one's memory, sooner or later. */
    async function seesItsOwn(command: readonly string[]): Promise<void> {
      await until("it sees its own memory", async () => {
        const text = await outer.output([...command, "cat", "/proc/meminfo"]);
        return memTotalKb(text) === INNER.memory / 1024;
      });
      expect(await outer.output([...command, "sh", "-c", "umount /proc/meminfo || true"])).toBe("");
      const own_ = await outer.output(["cat", "/proc/meminfo"]);
      expect(memTotalKb(own_)).toBe(OUTER.memory / 1024);
    }

    it("nothing covers what LXC keeps clean", async () => {
      expect(filesOf(outer.init).filter((path) => path.startsWith("/dev/"))).toEqual(["/dev/kmsg"]);
      const clean = await outer.output(["cat", "/dev/.lxc/proc/meminfo"]);
      expect(memTotalKb(clean)).toBe(hostKb);
      expect(memTotalKb(await outer.output(["cat", "/proc/meminfo"]))).toBe(256 * 1024);
    });

    it("a user namespace in it mounts its own proc, and sees the same limits", async () => {
      const unshare = ["unshare", "-U", "-r", "-m", "-p", "-f", "--mount-proc"];
      // One file is mounted after the other.
      const own = ["meminfo", "uptime", "stat"].map(
        (file) => `grep -q ' /proc/${file} ' /proc/mounts`,
      );
      const same = `grep -q ' ${OUTER.memory / 1024} kB' /proc/meminfo`;
      const waits = `until ${[...own, same].join(" && ")}; do :; done`;
      const script = `${waits}; cat /proc/uptime; grep '^cpu ' /proc/stat`;
      const [before, inner, after] = [
        await outer.output(["sh", "-c", "cat /proc/uptime; grep '^cpu ' /proc/stat"]),
        await outer.output([...unshare, "timeout", "20", "sh", "-c", script]),
        await outer.output(["sh", "-c", "cat /proc/uptime; grep '^cpu ' /proc/stat"]),
      ].map((text) => {
        const [uptime = "", stat = ""] = text.split("\n");
        const ticks = stat.split(/ +/).slice(1).map(Number);
        return [Number(uptime.split(" ")[0]), ticks.reduce((sum, each) => sum + each, 0)] as const;
      });
      // A part of the container, with its age and its times.
      expect(inner?.[0]).toBeGreaterThanOrEqual(before?.[0] ?? Number.NaN);
      expect(inner?.[1]).toBeGreaterThanOrEqual(before?.[1] ?? Number.NaN);
      expect(after?.[0]).toBeGreaterThanOrEqual(inner?.[0] ?? Number.NaN);
      expect(after?.[1]).toBeGreaterThanOrEqual(inner?.[1] ?? Number.NaN);
    });

    it("LXC", async () => {
      const limits = isV2
        ? [`lxc.cgroup2.memory.max = ${INNER.memory}`]
        : [`lxc.cgroup.memory.limit_in_bytes = ${INNER.memory}`];
      const config = [
        "lxc.rootfs.path = dir:/inner/rootfs",
        "lxc.uts.name = inner",
        "lxc.net.0.type = empty",
        "lxc.mount.auto = proc:mixed sys:mixed",
        "lxc.mount.entry = /usr usr none ro,bind 0 0",
        "lxc.init.cmd = /bin/sleep 1000000",
        ...limits,
      ];
      await prepare(outer.rootfs, userBase, [["config", `${config.join("\n")}\n`]]);
      const name = ["-n", "inner", "-P", "/inner"];
      const log = ["-o", "/tmp/log", "-l", "INFO", "-f", "/inner/config"];
      testScope().defer(() => outer.run(["lxc-stop", ...name, "-k"]));
      const started = await outer.run(["lxc-start", ...name, ...log]);
      expect(`${started.stderr}`).toBe("");
      await seesItsOwn(["lxc-attach", ...name, "--"]);
    });
  });
});
