// What other file systems of this kind got wrong, one by one; numbers are issues of lxc/lxcfs. What
// has a file of tests of its own is only touched here.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readMounts } from "../../src/mountinfo.js";
import { Cgroup, isV2, MIB } from "../support/cgroups.js";
import { finished, run } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, SYSFS, VIEWS } from "../support/daemon.js";
import { FILES } from "../support/invariants.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import {
  checkGrowth,
  checkMeminfo,
  checkStat,
  cpuList,
  statIds,
  uptime,
  value,
} from "../support/procfile.js";
import { program } from "../support/programs.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { swapOn } from "../support/swapfile.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const BUSY = ["/bin/sh", "-c", "while :; do :; done"];
const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
const cpus = cpuList(readFileSync("/sys/devices/system/cpu/online", "utf8"));

/** Ten times the host's: what has wrapped around is more. */
const ABSURD_KB = 10 * value(checkMeminfo(readFileSync("/proc/meminfo", "utf8")), "MemTotal");

function usedTicks(cgroup: Cgroup): number {
  return cgroup.cpuSeconds * 100;
}

function memoryStat(cgroup: Cgroup, v2: string, v1: string): number {
  const text = cgroup.read("memory", "memory.stat");
  return Number(new RegExp(`^${isV2 ? v2 : v1} (\\d+)$`, "m").exec(text)?.[1]);
}

/** Every option of the hierarchies' roots and of a container's cgroups that somebody could set. */
function options(cgroup: Cgroup): Map<string, string> {
  const roots = readMounts().filter(({ fsType }) => fsType === "cgroup" || fsType === "cgroup2");
  const directories = [...roots.map(({ mountpoint }) => mountpoint), ...cgroup.directories];
  const found = new Map<string, string>();
  for (const directory of directories) {
    for (const name of readdirSync(directory)) {
      if (
        /subtree_control|clone_children|hierarchy|release|balance|cpuset\.(cpus|mems)$/.test(name)
      ) {
        found.set(join(directory, name), readFileSync(join(directory, name), "utf8"));
      }
    }
  }
  return found;
}

describeLive("traps", ["free", "ps", "busybox", "setpriv", "dd"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    swapOn(scope, 256);
    daemon = await Daemon.start(scope);
  });

  /** A container with all files and directories in their places. */
  function start(own: Scope, limits: Parameters<typeof Container.start>[1] = {}) {
    const binds = [
      ...bindsOf(daemon).filter(([, target]) => target.startsWith("/proc/")),
      ...SYSFS.map((path) => [daemon.path("self", path), `/${path}`] as const),
    ];
    return Container.start(own, { memory: 96 * MIB, ...limits, binds });
  }

  it("swap in use above its limit: nothing below zero (695)", async () => {
    const own = testScope();
    const container = await start(own, { memory: 48 * MIB, swap: 96 * MIB });
    container.start(own, [program("eat"), "96"]);
    await until("something is swapped out", () => container.cgroup.swapUsage > 32 * MIB);
    try {
      container.cgroup.limit({ memory: 48 * MIB, swap: 0 });
    } catch {
      // v1 takes no limit below what is in use.
    }
    const file = checkMeminfo(await container.read("/proc/meminfo"));
    expect(value(file, "SwapTotal")).toBeGreaterThan(0);
    const figures = async (tool: readonly string[], pattern: RegExp): Promise<number[]> =>
      [...(await container.output(tool)).matchAll(pattern)].map(([, digits]) => Number(digits));
    const shown = [
      ...(await figures(["free", "-k"], /(\d+)/g)),
      ...(await figures(["vmstat", "-s", "-S", "K"], /(\d+) K /g)),
      ...(await figures(["swapon", "--show", "--bytes"], /(\d+)\d{3}/g)),
    ];
    expect(shown.length).toBeGreaterThan(15);
    expect(Math.max(...shown)).toBeLessThan(ABSURD_KB);
  });

  it("an init whose name has blanks and parentheses; one that is gone is an error (732)", async () => {
    const own = testScope();
    const container = await start(own, { initName: "a b) R 1 (c" });
    const { up } = uptime(await container.read("/proc/uptime"));
    expect(up).toBeLessThan(600);
    const id = await container.id(daemon);
    await container.kill();
    const { status, stdout } = await run(["cat", daemon.path("containers", id, "proc/uptime")]);
    expect({ status, shown: stdout.toString() }).not.toEqual({ status: 0, shown: "" });
    expect(stdout.toString()).not.toContain("-");
  });

  it("an idle container beside a busy one stays idle (593, 628, 653, 654)", async () => {
    const own = testScope();
    const idle = await start(own);
    const busy = await start(own);
    const calls = idle.syscalls(own);
    const before = checkStat(await calls.file("/proc/stat"));
    const usedBefore = usedTicks(idle.cgroup);
    busy.start(own, BUSY);
    await until("the neighbour is busy", () => usedTicks(busy.cgroup) > 100);
    const after = checkStat(await calls.file("/proc/stat"));
    const gained = after.total.user + after.total.system - before.total.user - before.total.system;
    expect(gained).toBeLessThanOrEqual(usedTicks(idle.cgroup) - usedBefore + 3 * cpus.length + 1);
    for (const line of (await calls.file("/proc/diskstats")).split("\n").filter(Boolean)) {
      // It may have read programs; it has written nothing.
      expect(line.trim().split(/ +/)[9]).toBe("0");
    }
    // A heading of two lines, and the two caches that slabtop needs: none of the node's.
    expect((await calls.file("/proc/slabinfo")).split("\n")).toHaveLength(5);
  });

  it("idle time goes on, on every CPU (500), from where it was when the CPUs change (513)", async () => {
    const own = testScope();
    const container = await start(own);
    const calls = container.syscalls(own);
    const read = async () => checkStat(await calls.file("/proc/stat"));
    let before = await read();
    for (const cpuset of [undefined, `${cpus[0]}`, cpus.join(",")]) {
      if (cpuset !== undefined) {
        container.cgroup.limit({ cpuset });
      }
      const now = await until("idle time passes", async () => {
        const file = await read();
        const enough = before.total.idle + 20;
        return file.total.idle >= enough && file.cpus.every((cpu) => cpu.idle > 0) && file;
      });
      expect(now.total.idle).toBeLessThan(1e7);
      checkGrowth(before, now);
      before = now;
    }
  });

  it("Mapped is mapped files, Dirty is dirty pages: keys are matched whole", async () => {
    const own = testScope();
    const container = await start(own);
    const directory = mkdtempSync(join("/var/tmp", testName("dirty")));
    own.defer(() => rmSync(directory, { recursive: true, force: true }));
    const copy = join(directory, "copy");
    // Pages of files that are in use elsewhere are not charged to it: it runs a program of its own.
    await container.output(["cp", program("syscalls"), copy]);
    const child = container.start(own, [copy]);
    await until("it maps a file", async () => {
      const kb = memoryStat(container.cgroup, "file_mapped", "total_mapped_file") / 1024;
      const shown = value(checkMeminfo(await container.read("/proc/meminfo")), "Mapped");
      return kb > 0 && Math.abs(shown - kb) <= 64 && shown > 0;
    });
    child.stdin?.end();
    await until("there are dirty pages", async () => {
      await container.output([
        "dd",
        "if=/dev/zero",
        `of=${join(directory, "f")}`,
        "bs=1M",
        "count=4",
      ]);
      return value(checkMeminfo(await container.read("/proc/meminfo")), "Dirty") > 0;
    });
  });

  it("cache is available, not used, and never more than there is (222, 334, 670)", async () => {
    const own = testScope();
    const container = await start(own, { memory: 64 * MIB });
    const directory = mkdtempSync(join("/var/tmp", testName("cache")));
    own.defer(() => rmSync(directory, { recursive: true, force: true }));
    const path = join(directory, "file");
    await container.output(["dd", "if=/dev/zero", `of=${path}`, "bs=1M", "count=96", "conv=fsync"]);
    await container.output(["cat", path]);
    const file = checkMeminfo(await container.read("/proc/meminfo"));
    expect(value(file, "Cached")).toBeGreaterThan(16 * 1024);
    expect(value(file, "MemAvailable")).toBeGreaterThan(value(file, "Cached") / 2);
    const [, , used = "0"] =
      /^Mem: +(\d+) +(\d+)/m.exec(await container.output(["free", "-k"])) ?? [];
    expect(Number(used)).toBeLessThan(40 * 1024);
  });

  it("nothing of the host's is left in kernel memory, and ps divides by no zero (389, 387)", async () => {
    const own = testScope();
    const container = await start(own, { memory: 32 * MIB });
    const text = await container.read("/proc/meminfo");
    const file = checkMeminfo(text);
    const labels = [...text.matchAll(/^(\S+):/gm)].map(([, label]) => label);
    expect(new Set(labels).size).toBe(labels.length);
    const host = checkMeminfo(readFileSync("/proc/meminfo", "utf8"));
    for (const label of ["KReclaimable", "KernelStack", "PageTables", "Percpu", "Slab"]) {
      const own = file.get(label) ?? 0;
      expect(own === 0 || own < (host.get(label) ?? 0), label).toBe(true);
      expect(own).toBeLessThan(32 * 1024);
    }
    expect(value(file, "Committed_AS")).toBeLessThan(value(host, "Committed_AS"));
    expect((await container.run(["ps", "aux"])).status).toBe(0);
  });

  it("all views of CPUs agree, also for an ancestor's quota (433, 522, 627, 688, 731)", async () => {
    const own = testScope();
    const parent = Cgroup.create(own, testName("parent"));
    const container = await start(own, { cgroup: parent.child(own, "child"), quota: null });
    const calls = container.syscalls(own);
    const set = [...cpus.slice(-1)];
    const check = async (shown: readonly number[], bare: readonly number[] = []): Promise<void> => {
      for (const [path, parse] of Object.entries(FILES)) {
        if (existsSync(`/${path}`)) {
          const found = parse(await calls.file(`/${path}`)).cpus;
          expect({ path, found: found ?? shown }).toEqual({ path, found: shown });
        }
      }
      const entries = await calls.list("/sys/devices/system/cpu");
      const directories = entries.filter(({ name }) => /^cpu\d+$/.test(name));
      expect(directories.map(({ name }) => name).sort()).toEqual(
        [...shown, ...bare].map((id) => `cpu${id}`).sort(),
      );
      // DT_DIR: readdir(3) of a peer told none.
      expect(directories.every(({ type }) => type === 4)).toBe(true);
      const configured = Number(await container.output(["getconf", "_NPROCESSORS_CONF"]));
      expect(configured).toBeGreaterThanOrEqual(shown.length + bare.length);
    };
    await check(cpus);
    parent.limit({ quota: 0.9 });
    // Its threads run on all of them.
    await check(cpus.slice(0, 1), cpus.slice(1, 2));
    parent.limit({ quota: null });
    container.cgroup.limit({ cpuset: set.join(",") });
    await check(set, cpus.slice(0, -1));
    expect(statIds(checkStat(await calls.file("/proc/stat")))).toEqual(set);
  });

  it("uid 65534 walks the whole tree and reads nothing that it could not natively", async () => {
    const own = testScope();
    const container = await start(own);
    const native = await Container.start(own);
    const walk =
      'cd "$0" && find proc sys -type f 2>/dev/null | sort | ' +
      'while read -r f; do cat "$f" >/dev/null 2>&1 && echo "$f"; done';
    const argv = (root: string) => [...NOBODY, "/bin/sh", "-c", walk, root];
    const lines = (text: string) => text.split("\n").filter(Boolean);
    const id = await container.id(daemon);
    const trees = [
      lines((await container.run(argv(daemon.path("self")))).stdout.toString()),
      lines((await run(argv(daemon.path("containers", id)))).stdout.toString()),
    ];
    expect(trees[1]).toEqual(trees[0]);
    expect(trees[0]?.length).toBeGreaterThan(50);
    expect(trees[0]).not.toContain("proc/slabinfo");
    // One of the host's own asks the kernel for the same names.
    const ask = 'cd / && while read -r f; do cat "$f" >/dev/null 2>&1 || echo "$f"; done';
    const child = native.start(own, [...NOBODY, "/bin/sh", "-c", ask]);
    const outcome = finished(child);
    child.stdin?.end(`${trees[0]?.join("\n")}\n`);
    expect(lines((await outcome).stdout.toString())).toEqual([]);
  });

  it("a trigger that is written and closed without polling harms nobody", async () => {
    const own = testScope();
    const container = await start(own);
    const other = await start(own);
    if (!existsSync("/proc/pressure/memory")) {
      return;
    }
    const trigger = 'for i in 1 2 3 4 5 6 7 8; do echo "some 150000 1000000" >"$0"; done';
    await container.run(["/bin/sh", "-c", trigger, "/proc/pressure/memory"]);
    checkMeminfo(await other.read("/proc/meminfo"));
    expect(await daemon.isServing()).toBe(true);
  });

  it("loads of many containers go on (504)", async () => {
    const own = testScope();
    const MANY = inLong(20, 60);
    const many: Container[] = [];
    for (let index = 0; index < MANY; index += 1) {
      many.push(await Container.start(own, { memory: 32 * MIB }));
    }
    const path = daemon.path("proc/loadavg");
    for (const container of many) {
      expect(await container.read(path)).toMatch(/^0\.\d\d 0\.\d\d 0\.\d\d \d+\/\d+ \d+\n$/);
    }
    const last = many.at(-1) as Container;
    last.start(own, BUSY);
    await until("its load rises", async () => Number((await last.read(path)).split(" ")[0]) > 0);
    expect(await (many[0] as Container).read(path)).toMatch(/^0\.0\d /);
  });

  it("starting, reading and stopping changes no option of any cgroup (681)", async () => {
    const own = testScope();
    const parent = Cgroup.create(own, testName("options"));
    const container = await start(own, { cgroup: parent.child(own, "child") });
    const before = options(parent);
    expect(before.size).toBeGreaterThan(2);
    const second = await Daemon.start(own);
    for (const view of VIEWS) {
      await container.run(["cat", second.path(view)]);
    }
    expect(options(parent)).toEqual(before);
    await second.stop();
    expect(options(parent)).toEqual(before);
  });

  it("a container takes no CPU of the host offline (629)", async () => {
    const own = testScope();
    const container = await start(own);
    const online = readFileSync("/sys/devices/system/cpu/online", "utf8");
    const path = `/sys/devices/system/cpu/cpu${cpus.at(-1)}/online`;
    const { status } = await container.run(["/bin/sh", "-c", `echo 0 >${path}`]);
    expect(status).not.toBe(0);
    expect(readFileSync("/sys/devices/system/cpu/online", "utf8")).toBe(online);
  });

  it("readers of everything at once come to an end, whatever is killed (442, 471, 605)", async () => {
    const own = testScope();
    const container = await start(own);
    const all = VIEWS.map((view) => `/${view}`).join(" ");
    const script = `i=0; while [ $i -lt 15 ]; do cat ${all} >/dev/null 2>&1; i=$((i+1)); done; echo done`;
    const readers = Array.from({ length: 6 }, () => container.run(["/bin/sh", "-c", script]));
    const killed = Array.from({ length: 4 }, (_, index) =>
      container.run(["timeout", "-s", "KILL", `0.${index + 1}`, "/bin/sh", "-c", script]),
    );
    await Promise.all(killed);
    for (const { stdout } of await Promise.all(readers)) {
      expect(stdout.toString()).toBe("done\n");
    }
  });

  it("containers that share a PID namespace have their own limits (543)", async () => {
    const own = testScope();
    const pause = await Container.start(own, { memory: 32 * MIB });
    const app = await Container.start(own, { memory: 80 * MIB, pidsOf: pause });
    const path = daemon.path("proc/meminfo");
    expect(value(checkMeminfo(await app.read(path)), "MemTotal")).toBe(80 * 1024);
    expect(value(checkMeminfo(await pause.read(path)), "MemTotal")).toBe(32 * 1024);
  });

  describe("bad input", () => {
    it("every file is read where processes are hidden", async () => {
      const own = testScope();
      const container = await start(own);
      const files = VIEWS.filter((view) => view !== "proc/slabinfo").map((view) => `/${view}`);
      const text = await container.shell(
        'mount -o remount,hidepid=2 /proc && exec "$@"',
        ...NOBODY,
        ...["cat", daemon.path("proc/meminfo"), ...files],
      );
      expect(text.match(/^MemTotal: +98304 kB$/gm)).toHaveLength(2);
    });

    it("a container that moves to another cgroup has that one's limits", async () => {
      const own = testScope();
      // Without a cgroup namespace its init's cgroup is the container's.
      const container = await Container.start(own, { memory: 64 * MIB, cgroupNamespace: false });
      const to = Cgroup.create(own, testName("to"));
      to.limit({ memory: 96 * MIB, quota: 1 });
      const held = container.syscalls(own);
      const path = daemon.path("proc/meminfo");
      const read = async (): Promise<number> =>
        value(checkMeminfo(await held.file(path)), "MemTotal");
      expect(await read()).toBe(64 * 1024);
      for (const directory of to.directories) {
        const { status } = await run([
          "/bin/sh",
          "-c",
          'echo "$1" >"$0"/cgroup.procs',
          directory,
          `${container.init}`,
        ]);
        expect(status).toBe(0);
      }
      await until("it has the new limit", async () => (await read()) === 96 * 1024);
      const online = cpuList(await held.file(daemon.path("sys/devices/system/cpu/online")));
      expect(online).toEqual(cpus.slice(0, 1));
      checkStat(await held.file(daemon.path("proc/stat")));
      expect(await daemon.isServing()).toBe(true);
    });

    it("a container in a cgroup namespace keeps its own when its processes move below", async () => {
      const own = testScope();
      const container = await start(own, { memory: 64 * MIB, quota: 1 });
      const inner = container.cgroup.child(own, "init.scope");
      if (!isV2) {
        inner.limit({ memory: 16 * MIB });
      }
      for (const directory of inner.directories) {
        await run([
          "/bin/sh",
          "-c",
          'echo "$1" >"$0"/cgroup.procs',
          directory,
          `${container.init}`,
        ]);
      }
      const path = daemon.path("proc/meminfo");
      expect(value(checkMeminfo(await container.read(path)), "MemTotal")).toBe(64 * 1024);
      expect(value(checkMeminfo(await container.read("/proc/meminfo")), "MemTotal")).toBe(
        64 * 1024,
      );
    });
  });
});
