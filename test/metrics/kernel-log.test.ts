import { describe, expect, it } from "vitest";
import { countMounted, parseOomKill } from "../support/testing.js";

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

  it("counts what lies below /proc and /sys and is ours", () => {
    expect(countMounted(mountinfo, "fuse.lxcfs", "vprocfs", "")).toEqual({ ours: 3, lxcfs: 0 });
    expect(countMounted(mountinfo.replaceAll("vprocfs ro", "x ro"), "fuse", "y", "").ours).toBe(0);
    expect(countMounted("", "fuse", "vprocfs", "").ours).toBe(0);
  });

  it("counts what an LXCFS has that the host still has", () => {
    const host = (device: string): string =>
      `9 1 ${device} / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw`;
    const lxcfs = (device: string): number =>
      countMounted(mountinfo, "fuse.lxcfs", "vprocfs", host(device)).lxcfs;
    expect(lxcfs("0:4")).toBe(1);
    expect(lxcfs("0:5")).toBe(0);
  });
});
