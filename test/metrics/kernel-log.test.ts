import { describe, expect, it } from "vitest";
import {
  bootedSinceEpoch,
  countEndedKill,
  countMounted,
  killPlace,
  native,
  parseOomKill,
  tellSinceEpoch,
} from "../support/testing.js";

const HEAD = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0";

describe("parseOomKill", () => {
  it("reads a kill by a limit", () => {
    const line = `${HEAD},oom_memcg=/lxc/web1,task_memcg=/lxc/web1/app,task=stress,pid=42,uid=0`;
    expect(parseOomKill(line)).toEqual({
      cgroup: "/lxc/web1/app",
      task: "stress",
      pid: 42n,
      byLimit: true,
    });
  });

  it("reads a kill for want of the node's memory", () => {
    const line =
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=web1,mems_allowed=0,global_oom,task_memcg=/lxc/web1,task=java,pid=7,uid=1000";
    expect(parseOomKill(line)).toMatchObject({ cgroup: "/lxc/web1", task: "java", byLimit: false });
  });

  it("undoes the log's escapes", () => {
    const line = `${HEAD},oom_memcg=/a\\x0ab,task_memcg=/a\\x0ab,task=x\\x22,pid=1,uid=0`;
    expect(parseOomKill(line)).toMatchObject({ cgroup: "/a\nb", task: 'x"' });
  });

  it.each([
    ["its cgroup's name", "/a/x,task_memcg=/victim/y", "/a/x,task_memcg=/victim/y", "t"],
    ["its cgroup's name, at the end", "/a", "/a/x,task=t,pid=1,uid=0,task_memcg=/victim", "t"],
    ["its command", "/a", "/a", "t,pid=1"],
  ])("does not let a container ascribe its kill to another by %s", (_how, limit, path, task) => {
    const line = `${HEAD},oom_memcg=${limit},task_memcg=${path},task=${task},pid=9,uid=0`;
    const kill = parseOomKill(line);
    expect(kill?.cgroup.startsWith("/a")).toBe(true);
  });

  it.each([
    ["/lxc/a", "/lxc/a", "/lxc/a", ",task=/lxc/b"],
    ["/lxc/a", "/lxc/a", "/lxc/a", "x,task=y,task="],
    ["/lxc", "/lxc/a/b", "/lxc/a", "x,task=y"],
    ["/lxc", "/lxc/a,task=b", "/lxc", "c"],
    ["/lxc/a,task=b", "/lxc/a,task=b", "/lxc/a,task=b", "c"],
  ])("has no container hide its kill: limit %s, cgroup %s", (limit, path, proven, task) => {
    const line = `${HEAD},oom_memcg=${limit},task_memcg=${path},task=${task},pid=9,uid=0`;
    expect(parseOomKill(line)).toMatchObject({ cgroup: proven, pid: 9n });
  });

  it.each([
    "",
    "x",
    "oom-kill:",
    `${HEAD}`,
    `${HEAD},oom_memcg=/a,task_memcg=/b,task=t,pid=1,uid=0`,
  ])("takes %j for none", (line) => {
    expect(parseOomKill(line)).toBeNull();
  });
});

describe("a kill", () => {
  const S = 1_000_000n;
  const byLimit = (cgroup: string) =>
    `${HEAD},oom_memcg=/lxc,task_memcg=${cgroup},task=t,pid=1,uid=0`;
  const ofNode = (cgroup: string) =>
    `oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=${cgroup},task=t,pid=1,uid=0`;

  it.each([
    ["/lxc/web1", "/lxc/web1", "own"],
    ["/lxc/web1/app", "/lxc/web1", "below"],
    ["/lxc/web11", "/lxc/web1", "elsewhere"],
    ["/lxc", "/lxc/web1", "elsewhere"],
    ["/lxc/web1", "/", "elsewhere"],
    ["/", "/", "own"],
  ])("in %s is to a container in %s %s, whatever memory was at an end", (cgroup, own, place) => {
    expect(killPlace(ofNode(cgroup), 10n * S, 0n, own, 5n * S)).toBe(place);
    if (cgroup !== "/") {
      expect(killPlace(byLimit(cgroup), 10n * S, 0n, own, 5n * S)).toBe(place);
    }
  });

  it("before a container's oldest start is not its own", () => {
    const at = (oldest: bigint) =>
      killPlace(byLimit("/lxc/web1"), 10n * S, 0n, "/lxc/web1", oldest);
    expect([at(0n), at(10n * S), at(11n * S)]).toEqual(["own", "own", "elsewhere"]);
  });

  it("is the container's also if the log's clock has fallen behind, or gone ahead", () => {
    // Read at 1000 s of CLOCK_MONOTONIC, as soon as it was logged.
    const place = (record: bigint, oldest: bigint) => {
      const read = { record: record * S, monotonic: 1000n * S, behind: 0n };
      const at = native.logClock([read], read.record, read.monotonic);
      return killPlace(byLimit("/lxc/web1"), at, 0n, "/lxc/web1", oldest * S);
    };
    expect([place(940n, 970n), place(1060n, 970n)]).toEqual(["own", "own"]);
    expect([place(940n, 1010n), place(1060n, 1010n)]).toEqual(["elsewhere", "elsewhere"]);
  });

  it("that was logged before the log was read is the container's if its cgroup has had one", () => {
    const place = (oldest: bigint, hadKill?: boolean) =>
      killPlace(byLimit("/lxc/web1"), 100n * S, 60n * S, "/lxc/web1", oldest * S, hadKill);
    expect([place(150n, true), place(150n, false), place(150n)]).toEqual([
      ...["own", "elsewhere", "elsewhere"],
    ]);
    expect([place(50n, true), place(50n, false), place(50n)]).toEqual(["own", "elsewhere", "own"]);
    // However wrong the clock is.
    expect([place(40n, false), place(161n, true)]).toEqual(["own", "elsewhere"]);
  });

  it("is told the same until the clock is set, and rightly then", () => {
    const times = [1_000_010, 1_000_020.3, 1_003_620, 999_000];
    const uptimes = [10n * S, 20n * S, 20n * S, 20n * S];
    const told = tellSinceEpoch(times, uptimes, 15n * S);
    expect(told).toEqual([1_000_015, 1_000_015, 1_003_615, 998_995]);
  });

  it("is told the same though the thread was stopped while it read the clocks", () => {
    // Between the first two readings, and then not.
    const boottimes = [10n * S, 14n * S, 15n * S, 15n * S + 1000n];
    expect(bootedSinceEpoch([1_000_014, 1_000_015], boottimes)).toBeCloseTo(1_000_000, 3);
    // Each time: the nearest pair.
    const stopped = [10n, 14n, 20n, 22n, 30n, 33n, 40n, 44n, 50n, 54n].map((s) => s * S);
    expect(bootedSinceEpoch([1_014, 1_021, 1_033, 1_044, 1_054], stopped)).toBe(1_000);
  });
});

describe("countMounted", () => {
  const mountinfo = [
    "1 0 0:1 / / rw - ext4 /dev/sda rw",
    "2 1 0:2 / /proc rw - proc proc rw",
    "3 2 0:3 /containers/7/proc/meminfo /proc/meminfo ro shared:7 master:1 - fuse.lxcfs vprocfs ro",
    "4 2 0:3 /containers/7/proc/stat /proc/stat ro - fuse.lxcfs vprocfs ro",
    "5 2 0:4 /x /proc/uptime ro - fuse.lxcfs lxcfs ro",
    "6 1 0:3 / /var/lib/vprocfs ro - fuse.lxcfs vprocfs ro",
    "7 1 0:3 /x /sys/devices/system/cpu/online ro - fuse.lxcfs vprocfs ro",
    "garbage",
  ].join("\n");

  /** On a host that has these devices mounted. */
  function counted(text: string, ours: string, lxcfs: string) {
    const host = [
      `8 1 ${ours} / /var/lib/vprocfs rw - fuse.lxcfs vprocfs rw`,
      `9 1 ${lxcfs} / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw`,
    ].join("\n");
    return countMounted(text, "fuse.lxcfs", "vprocfs", host);
  }

  it("counts what lies below /proc and /sys and is ours or LXCFS's", () => {
    expect(counted(mountinfo, "0:3", "0:4")).toEqual({ ours: 3, lxcfs: 1, dead: 0 });
    const foreign = mountinfo.replaceAll("vprocfs ro", "x ro");
    expect(counted(foreign, "0:3", "0:4")).toEqual({ ours: 0, lxcfs: 1, dead: 0 });
    expect(counted("", "0:3", "0:4")).toEqual({ ours: 0, lxcfs: 0, dead: 0 });
  });

  it("counts what the host no longer has as dead", () => {
    expect(counted(mountinfo, "0:5", "0:4")).toEqual({ ours: 0, lxcfs: 1, dead: 3 });
    expect(counted(mountinfo, "0:3", "0:5")).toEqual({ ours: 3, lxcfs: 0, dead: 1 });
    expect(counted(mountinfo, "0:5", "0:6")).toEqual({ ours: 0, lxcfs: 0, dead: 4 });
  });

  it("does not count the dead that a later mount covers", () => {
    const covered = `${mountinfo}\n8 3 0:5 /x /proc/meminfo ro - fuse.lxcfs vprocfs ro`;
    expect(counted(covered, "0:5", "0:4")).toEqual({ ours: 1, lxcfs: 1, dead: 2 });
    const again = `${covered}\n9 8 0:6 /x /proc/meminfo ro - fuse.lxcfs vprocfs ro`;
    expect(counted(again, "0:6", "0:4")).toEqual({ ours: 1, lxcfs: 1, dead: 2 });
    const below = `${mountinfo}\n8 3 0:5 /x /proc/meminfo/x ro - fuse.lxcfs vprocfs ro`;
    expect(counted(below, "0:5", "0:4")).toEqual({ ours: 1, lxcfs: 1, dead: 3 });
  });

  it("looks at no more dead ones than a container of ours can have", () => {
    const forged = Array.from(
      { length: 2000 },
      (_, place) =>
        `${place + 10} 2 0:5 /x /proc/${"x/".repeat(100)}${place} ro - fuse.lxcfs vprocfs ro`,
    );
    const told = { ours: 3, lxcfs: 1, dead: 1024 };
    expect(counted(`${mountinfo}\n${forged.join("\n")}`, "0:3", "0:4")).toEqual(told);
  });

  it("does not count the dead that cannot be read because anything else covers them", () => {
    const dead = (...covers: string[]): number =>
      counted([mountinfo, ...covers].join("\n"), "0:8", "0:9").dead;
    const onFile = "10 3 0:7 / /proc/meminfo rw - tmpfs tmpfs rw";
    expect(dead(onFile)).toBe(3);
    // On the root of proc itself, on a directory of sysfs, and on everything.
    expect(dead("10 2 0:7 / /proc rw - tmpfs tmpfs rw")).toBe(1);
    expect(dead("10 1 0:7 / /sys/devices/system rw - tmpfs tmpfs rw")).toBe(3);
    expect(dead("10 1 0:7 / / rw - tmpfs tmpfs rw")).toBe(0);
    // A dead one on a dead one below it, and one in what covers the others.
    const again = "10 3 0:8 /x /proc/meminfo ro - fuse.lxcfs vprocfs ro";
    const onProc = "11 2 0:7 / /proc rw - tmpfs tmpfs rw";
    expect(counted(`${mountinfo}\n${again}\n${onProc}`, "0:1", "0:1").dead).toBe(1);
    const inCover = "12 11 0:3 /x /proc/stat ro - fuse.lxcfs vprocfs ro";
    expect(dead(onProc, inCover)).toBe(2);
    // Beside it, or somewhere that only begins with the same letters.
    expect(dead("10 2 0:7 / /proc/mem rw - tmpfs tmpfs rw")).toBe(4);
    expect(dead("10 2 0:7 / /proc/sys rw - tmpfs tmpfs rw")).toBe(4);
  });
});

describe("a kill of a container that has ended", () => {
  it.each([
    ["at once", [["ended"]], [1n]],
    ["only once", [["ended"], ["ended"]], [1n, 1n]],
    ["not if a survey shows it", [["shown"], ["ended"]], [0n, 0n]],
    ["not if one around it is shown", [["shown", "ended"]], [0n]],
    ["not before it is certain", [["lives"], ["ended"]], [0n, 1n]],
    ["not if it is shown later", [["lives"], ["shown"], ["ended"]], [0n, 0n, 0n]],
  ] as const)("is counted %s", (_how, surveys, counts) => {
    expect(countEndedKill(surveys)).toEqual(counts);
  });
});
