// What the host's kernel log tells of, and whose it is.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { project } from "../support/project.js";
import { type LogContainer, type LogGroup, native } from "../support/testing.js";

function recorded(name: string): string[] {
  const text = readFileSync(join(project, "test/source/kernel-log", name), "utf8");
  return text.split("\n").flatMap((line) => (line === "" ? [] : [`${line}\n`]));
}

const WEB1: LogContainer = { memory: "/lxc/web1", pids: "/lxc/web1", firstUser: 0, processes: [] };

function knows(...pairs: readonly (readonly [host: number, own: number])[]): LogContainer {
  return { ...WEB1, processes: pairs.map(([host, own]) => ({ host, own })) };
}

/** Records with the texts given, one after the other. */
function records(texts: readonly string[], prefix = "6", suffix = ""): string[] {
  return texts.map((text, i) => `${prefix},${i + 1},${1000 + i},-${suffix};${text}\n`);
}

function sort(texts: readonly string[], container = WEB1): LogGroup[] {
  return native.sortLog(records(texts), container);
}

const KILL_OF_9 =
  "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/lxc/web1,task_memcg=/lxc/web1,task=m,pid=9,uid=0";

function linesOf(groups: readonly LogGroup[]): string[] {
  return groups.flatMap(({ lines }) => lines);
}

describe("readLogRecord", () => {
  it("takes a record apart", () => {
    const bytes = "30,12,345,c,caller=T77;a\\x0ab\\x5c;c\n SUBSYSTEM=x\n DEVICE=y\n";
    expect(native.readLogRecord(bytes)).toEqual({
      level: 6,
      facility: 3,
      sequence: 12n,
      timeUs: 345n,
      fragment: true,
      callerTask: 77,
      text: "a\nb\\;c",
      escaped: "a\\x0ab\\x5c;c",
    });
  });

  it("passes over fields that it does not know", () => {
    expect(native.readLogRecord("6,1,2,-,caller=C3,later=1;x\n")).toMatchObject({ callerTask: 0 });
    expect(native.readLogRecord("6,1,2,-,later=1,caller=T3(comm);x\n")?.callerTask).toBe(3);
  });

  it.each(["", "\n", "6,1,2,-;cut off", "6,1;x\n", "x,1,2,-;y\n", "6,1,2,- no semicolon\n"])(
    "takes %j for none",
    (bytes) => {
      expect(native.readLogRecord(bytes)).toBeNull();
    },
  );
});

describe("a kill for want of memory", () => {
  it("is told whole with the container's own PIDs and paths (6.18)", () => {
    const [kill, ...others] = native.sortLog(recorded("6.18-x86.log"), knows([6451, 7]));
    expect(kill).toMatchObject({
      kind: "oom",
      memoryPath: "/lxc/web1/app",
      limitPath: "/lxc/web1",
      first: 2842n,
      killed: "m",
    });
    const lines = kill?.lines ?? [];
    expect(lines[0]).toBe(
      "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
    );
    expect(lines).toContain("memory: usage 65536kB, limit 65536kB, failcnt 60539");
    expect(lines).toContain("Memory cgroup stats for /:");
    expect(lines).toContain("total_rss 66256896");
    expect(lines).toContain(
      "[      7]     0     7    82345    16375    16160      215         0   704512    65504             0 m",
    );
    expect(lines.at(-2)).toBe(
      "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/,task_memcg=/app,task=m,pid=7,uid=0",
    );
    expect(lines.at(-1)).toMatch(/^Memory cgroup out of memory: Killed process 7 \(m\) total-vm/);
    expect(lines.join("\n")).not.toMatch(/6451|klogrec|web1|RIP|Call Trace|CPU:|\+0x/);
    expect(others.map(({ kind }) => kind)).toEqual(["fault", "fault", "fault", "fault", "forks"]);
  });

  it.each([
    ["5.10", 133],
    ["6.1", 147],
    ["6.12", 191],
  ])("and whatever else befalls a container are told as recorded (%s)", (version, first) => {
    // 2 is killed, then 3 with 4; 5, 6 and 7 make faults, 8 a system call that kills it.
    const pids = [0, 1, 2, 3, 4, 6, 7].map((at, i) => [first + at, i + 2] as const);
    const groups = native.sortLog(recorded(`${version}-x86.log`), knows(...pids));
    expect(groups.map(({ kind }) => kind)).toEqual([
      ...Array(5).fill("oom"),
      ...Array(3).fill("fault"),
      "seccomp",
      "forks",
    ]);
    const lines = linesOf(groups);
    for (const pattern of [
      /^tail invoked oom-killer: gfp_mask=/,
      /^Memory cgroup stats for \/:/,
      /oom_memcg=\/,task_memcg=\/app,task=tail,pid=3,uid=0$/,
      /^Tasks in \/app are going to be killed due to memory\.oom\.group set$/,
      /Killed process 4 \(sleep\) total-vm/,
      /^victim\[5\]: segfault at 8 ip 000000000040156e /,
      /^traps: x\]: segfault\[6\] trap invalid opcode ip:401100 /,
      /^a\\x0ab;c\[7\]: segfault at 8 /,
      /^audit: type=1326 audit\([\d.]+:0\): .* pid=8 comm=286E/,
      /^cgroup: fork rejected by pids controller in \/app$/,
    ]) {
      expect(lines.filter((line) => pattern.test(line))).not.toEqual([]);
    }
    expect(lines.join("\n")).not.toMatch(/lxc|web1|Hardware|Call Trace|RIP|CPU: |\+0x/);
    expect(lines.join("\n")).not.toMatch(new RegExp(`(pid=|process |\\[ *)${first}\\b`));
  });

  it("has the container's user ids, and nothing that others print in between (5.10)", () => {
    const container = { ...knows([5120, 33]), firstUser: 100_000 };
    const groups = native.sortLog(recorded("5.10-x86-userns.log"), container);
    const lines = linesOf(groups.filter(({ kind }) => kind === "oom"));
    expect(lines).toContain("anon 66252800\\x0afile 0\\x0akernel_stack 16384");
    expect(lines.join("\n")).toContain("task=python3,pid=33,uid=1000");
    expect(lines.join("\n")).toContain("UID:1000 pgtables");
    expect(lines.join("\n")).toContain("[     33]  1000    33 ");
    expect(lines.at(-1)).toMatch(/^oom_reaper: reaped process 33/);
    expect(lines.join("\n")).not.toMatch(/eth0|5120|101000|mems_allowed=0-1/);
  });

  it("of the node's memory tells the container of its own process only (6.1)", () => {
    const container = { ...knows([9000, 5], [812, 6]), firstUser: 0 };
    const [kill] = native.sortLog(recorded("6.1-x86-global.log"), container);
    expect(kill).toMatchObject({ memoryPath: "/lxc/web1", limitPath: "" });
    expect(kill?.lines).toEqual([
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=java,pid=5,uid=1000",
      expect.stringMatching(/^Out of memory: Killed process 5 \(java\) total-vm/),
    ]);
  });

  it("by a limit above the container leaves out what is of all below that limit", () => {
    const groups = sort(
      [
        "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "memory: usage 1kB, limit 1kB, failcnt 1",
        "Memory cgroup stats for /lxc:",
        "[      9]     0     9        1        1     1        0             0 neighbour",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/lxc,task_memcg=/lxc/web1/a,task=m,pid=9,uid=0",
        "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB",
      ],
      knows([9, 3]),
    );
    expect(linesOf(groups)).toEqual([
      "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/,task_memcg=/a,task=m,pid=3,uid=0",
      "Memory cgroup out of memory: Killed process 3 (m) total-vm:1kB",
    ]);
  });

  it.each([
    ["/lxc/100/ns", "/lxc/100"],
    ["/machine.slice/libpod-8f3a.scope/container", "/machine.slice/libpod-8f3a.scope"],
    ["/machine.slice/machine-web.scope/payload", "/machine.slice/machine-web.scope"],
  ])(
    "by the limit of the cgroup that the runtime made around %s is told in full",
    (memory, limit) => {
      const lines = (of: string): string[] => {
        const texts = [
          "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
          "memory: usage 1kB, limit 1kB, failcnt 1",
          `oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=${of},task_memcg=${memory}/a,task=m,pid=9,uid=0`,
          "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB",
        ];
        return linesOf(sort(texts, { ...knows([9, 3]), memory }));
      };
      const own = [
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/,task_memcg=/a,task=m,pid=3,uid=0",
        "Memory cgroup out of memory: Killed process 3 (m) total-vm:1kB",
      ];
      expect(lines(limit)).toContain("memory: usage 1kB, limit 1kB, failcnt 1");
      expect(lines(limit)).toEqual(expect.arrayContaining(own));
      // Of others that are beside the container too.
      expect(lines(limit.slice(0, limit.lastIndexOf("/")))).toEqual(own);
    },
  );

  it("has 0 for a victim that nobody knows any more, and no line for others that are gone", () => {
    const [kill] = native.sortLog(recorded("6.18-x86.log"), WEB1);
    expect(kill?.lines.at(-1)).toMatch(/Killed process 0 \(m\)/);
    expect(kill?.lines.some((line) => line.startsWith("[      "))).toBe(false);
  });

  it("of a whole cgroup tells of every process of it", () => {
    const groups = native.sortLog(recorded("6.1-x86-global.log"), knows([9100, 8]));
    const last = groups.slice(-2);
    expect(last.map(({ memoryPath, pid }) => [memoryPath, pid])).toEqual([
      ["/lxc/web1/app", 0],
      ["", 9100],
    ]);
    expect(linesOf(last)).toEqual([
      "Tasks in /app are going to be killed due to memory.oom.group set",
      expect.stringMatching(/Killed process 8 \(a\)/),
    ]);
  });

  it("of a whole cgroup is proven by the cgroup where it is known who prints", () => {
    const texts = [
      "Tasks in /lxc/web1/app are going to be killed due to memory.oom.group set",
      "Memory cgroup out of memory: Killed process 9 (a) total-vm:1kB",
      "Memory cgroup out of memory: Killed process 10 (b) total-vm:1kB",
      "Memory cgroup out of memory: Killed process 11 (other) total-vm:1kB",
      "oom_reaper: reaped process 11 (other), now anon-rss:0kB",
    ];
    const groups = native.sortLog(records(texts), WEB1, [77, 77, 77, 88]);
    expect(groups.map(({ memoryPath, pid }) => [memoryPath, pid])).toEqual([
      ["/lxc/web1/app", 0],
      ["/lxc/web1/app", 9],
      ["/lxc/web1/app", 10],
      ["", 11],
      ["", 11],
    ]);
    expect(sort(texts).map(({ memoryPath }) => memoryPath)).toEqual([
      "/lxc/web1/app",
      "",
      "",
      "",
      "",
    ]);
  });

  it("of a whole cgroup names the chosen process twice, whose reaper's line is told", () => {
    const killed = "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB";
    const paths = (group: string, ...times: readonly string[]) => {
      const texts = [
        "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        KILL_OF_9,
        killed,
        `Tasks in ${group} are going to be killed due to memory.oom.group set`,
        "Memory cgroup out of memory: Killed process 10 (n) total-vm:1kB",
        ...times,
        "oom_reaper: reaped process 9 (m), now anon-rss:0kB",
      ];
      return sort(texts, knows([9, 4], [10, 5])).map(({ memoryPath }) => memoryPath);
    };
    const web1 = "/lxc/web1";
    expect(paths(web1, killed)).toEqual([web1, web1, "", "", web1]);
    expect(paths("/lxc", killed)).toEqual([web1, "/lxc", "", "", web1]);
    // Another process may have its PID the next time.
    expect(paths(web1, killed, killed)).toEqual([web1, web1, "", "", "", ""]);
    expect(paths("/lxc/web2", killed)).toEqual([web1, "/lxc/web2", "", "", ""]);
  });

  it("of a process whose first thread has ended names the thread that was killed", () => {
    const texts = [
      "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      KILL_OF_9,
      "Memory cgroup out of memory: Killed process 10 (m) total-vm:1kB",
      "oom_reaper: reaped process 10 (m), now anon-rss:0kB",
    ];
    const told = (printers: readonly number[], lines = records(texts)) =>
      native
        .sortLog(lines, knows([9, 4], [10, 5]), printers)
        .flatMap(({ kind, memoryPath }) => (kind === "oom" ? [memoryPath] : []));
    const groups = native.sortLog(records(texts), knows([9, 4], [10, 5]), [77, 77, 77, 88]);
    expect(groups.map(({ memoryPath, pid }) => [memoryPath, pid])).toEqual([
      ["/lxc/web1", 9],
      ["/lxc/web1", 10],
    ]);
    expect(linesOf(groups).slice(-2)).toEqual([
      "Memory cgroup out of memory: Killed process 5 (m) total-vm:1kB",
      "oom_reaper: reaped process 5 (m), now anon-rss:0kB",
    ]);
    const another = ["/lxc/web1", "", ""];
    expect(told([])).toEqual(another);
    expect(told([77, 77, 78, 88])).toEqual(another);
    expect(told([77, 0, 0, 88])).toEqual(another);
    // Something was printed in between.
    const [begin = "", summary = "", ...rest] = texts;
    const between = records([begin, summary, "eth0: link is up", ...rest]);
    expect(told([77, 77, 66, 77, 88], between)).toEqual(another);
  });

  it("does not take for its own what another task prints meanwhile", () => {
    const texts = [
      "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      "process 321 did something",
      KILL_OF_9,
      "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB",
    ];
    const told = (printers: readonly number[]) =>
      native
        .sortLog(records(texts), knows([9, 4], [321, 5]), printers)
        .map(({ kind, pid, lines }) => [kind, pid, lines.length]);
    const alone = [["oom", 9, 3]];
    expect(told([9, 321, 9, 9])).toEqual([...alone, ["caller", 321, 1]]);
    expect(told([9, 9, 9, 9])).toEqual(alone);
    expect(told([0, 321, 9, 9])).toEqual(alone);
    // The beginning was another kill's.
    expect(told([321, 0, 9, 9])).toEqual([["oom", 9, 2]]);
  });

  // The kernel prints what comes before the last line of ten kills in five seconds only.
  it.each([
    ["was chosen", [KILL_OF_9], "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB"],
    ["is there to kill", ["Out of memory and no killable processes..."], undefined],
    [
      "was alive",
      [
        KILL_OF_9,
        "Memory cgroup out of memory: OOM victim 9 (m) is already exiting. Skip killing the task",
      ],
      undefined,
    ],
    [
      "could be killed for what it asked for",
      [
        KILL_OF_9,
        "Out of memory (oom_kill_allocating_task): OOM victim 9 (m) is already exiting. Skip killing the task",
      ],
      undefined,
    ],
    ["can be told", [], undefined],
  ])("leaves the kill of another container alone where nobody else %s", (_, between, last) => {
    const groups = sort([
      "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      "Memory cgroup stats for /lxc/web1:",
      ...between,
      ...(last === undefined ? [] : [last]),
      "Memory cgroup out of memory: Killed process 4242 (secret) total-vm:1kB",
      "oom_reaper: reaped process 4242 (secret), now anon-rss:0kB",
    ]);
    const [kill, other, reaped] = groups;
    expect(groups).toHaveLength(3);
    expect(kill).toMatchObject({ memoryPath: "/lxc/web1" });
    expect(kill?.lines.join("\n")).not.toMatch(/secret/);
    expect(other).toMatchObject({ memoryPath: "", pid: 4242 });
    expect(reaped).toMatchObject({ memoryPath: "", pid: 4242 });
  });

  it("is told up to where records were lost, and no other kill as a part of it", () => {
    const [first, second] = native.sortLog(
      [
        "6,1,1,-;a-secret invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n",
        "6,2,2,-;memory: usage 65536kB, limit 65536kB, failcnt 12\n",
        "6,3,3,-;Memory cgroup stats for /lxc/other:\n",
        "6,90001,9,-;memory: usage 1kB, limit 1kB, failcnt 1\n",
        `6,90002,9,-;${KILL_OF_9}\n`,
        "6,90003,9,-;Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB\n",
      ],
      WEB1,
    );
    expect(first).toMatchObject({ memoryPath: "/lxc/other" });
    expect(second).toMatchObject({ memoryPath: "/lxc/web1", first: 90002n });
    expect(second?.lines.join("\n")).not.toMatch(/secret|65536/);
  });

  it("is not whom a later one is about that had its PID", () => {
    const reaped = "oom_reaper: reaped process 9 (m), now anon-rss:0kB";
    const first = [
      "m invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
      KILL_OF_9,
      "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB",
    ];
    const last = (lines: readonly string[]) => native.sortLog(lines, WEB1).at(-1);
    expect(last(records([...first, reaped]))).toMatchObject({ memoryPath: "/lxc/web1" });
    // Its cgroup is not known.
    const [begin = "", , killed = ""] = first;
    expect(last(records([...first, begin, killed, reaped]))).toMatchObject({ memoryPath: "" });
    // What was lost may have been about another one.
    const lost = `6,99,9999,-;${reaped}\n`;
    expect(last([...records(first), lost])).toMatchObject({ memoryPath: "", pid: 9 });
  });

  it("whose beginning was overwritten is told from where it goes on", () => {
    const groups = native.sortLog(recorded("6.18-x86.log").slice(77), knows([6451, 7]));
    expect(groups[0]).toMatchObject({ kind: "oom", memoryPath: "/lxc/web1/app" });
    expect(groups[0]?.lines).toHaveLength(2);
  });
});

describe("what a process is", () => {
  it("is told of faults and their code, not of the host's CPU (6.18)", () => {
    const faults = native
      .sortLog(recorded("6.18-x86.log"), knows([6523, 2], [6639, 3], [6698, 4], [6708, 1]))
      .filter(({ kind }) => kind === "fault");
    expect(faults.map(({ pid }) => pid)).toEqual([6523, 6639, 6698, 6708]);
    expect(faults[0]?.lines).toEqual([
      "m[2]: segfault at 0 ip 000055cea4c6420a sp 00007ffd12b187a0 error 6 in m[120a,55cea4c64000+1000]",
      expect.stringMatching(/^Code: 00 00 10 00/),
    ]);
    expect(faults[1]?.lines[0]).toMatch(/^traps: x\]: segfault\[3\] trap invalid opcode ip:/);
    expect(faults[2]?.lines[0]).toMatch(/^traps: m\[4\] general protection fault ip:/);
    expect(faults[3]?.lines[0]).toMatch(/^a\\x0ab;c\[1\]: segfault at 0/);
  });

  it("is told of faults on arm64", () => {
    const [fault] = native.sortLog(recorded("6.12-arm64.log"), knows([321, 9]));
    expect(fault).toMatchObject({ kind: "fault", pid: 321 });
    expect(fault?.lines[0]).toMatch(/^prog\[9\]: unhandled exception: DABT/);
  });

  it("is told of a system call that killed it, whatever a label says", () => {
    const groups = native.sortLog(recorded("6.1-x86-global.log"), knows([9100, 8]));
    const [seccomp] = groups.filter(({ kind }) => kind === "seccomp");
    expect(seccomp).toMatchObject({ pid: 9100, kills: true });
    expect(seccomp?.lines).toEqual([
      'audit: type=1326 audit(1700000000.123:0): auid=4294967295 uid=1000 gid=1000 pid=8 comm="curl" exe="/usr/bin/curl" sig=31 arch=c000003e syscall=39 compat=0 ip=0x7f2b2c1d3a1b code=0x80000000',
    ]);
  });

  it("is told of a system call that is only logged", () => {
    const call = (signal: number) =>
      `audit: type=1326 audit(1700000000.123:45): auid=0 uid=0 gid=0 ses=1 pid=9 comm="a" exe="/a" sig=${signal} arch=c000003e syscall=39 compat=0 ip=0x1 code=0x7ffc0000`;
    expect(sort([call(0), call(31)], knows([9, 4]))).toMatchObject([
      { kind: "seccomp", pid: 9, kills: false },
      { kind: "seccomp", pid: 9, kills: true },
    ]);
  });

  it("is told that it hangs, by the PID in the text", () => {
    const groups = native.sortLog(recorded("6.1-x86-global.log"), knows([9100, 8]));
    const hung = groups.filter(({ kind }) => kind === "hung");
    expect(hung.map(({ pid }) => pid)).toEqual([77, 9100]);
    expect(linesOf(hung)).toEqual(["INFO: task a:1 b:8 blocked for more than 120 seconds."]);
  });

  it("gives code to nobody when two faults come at once", () => {
    const groups = sort(
      [
        "a[10]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]",
        "b[20]: segfault at 0 ip 1 sp 2 error 6 in b[1+1]",
        "Code: 11 11 <c7>",
        "Code: 22 22 <c7>",
        "c[30]: segfault at 0 ip 1 sp 2 error 6 in c[1+1]",
        "Code: 33 33 <c7>",
      ],
      knows([10, 1], [20, 2], [30, 3]),
    );
    expect(groups.map(({ lines }) => lines.length)).toEqual([1, 1, 2]);
  });

  it("gives code to whose thread printed it where the log tells", () => {
    const lines = [
      "6,1,1,-,caller=T10;a[10]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]\n",
      "6,2,2,-,caller=T20;b[20]: segfault at 0 ip 1 sp 2 error 6 in b[1+1]\n",
      "6,3,3,-,caller=T10;Code: 11 <c7>\n",
      "6,4,4,-,caller=T20;Code: 22 <c7>\n",
    ];
    const groups = native.sortLog(lines, knows([10, 1], [20, 2]));
    expect(groups.map(({ lines: [, code] }) => code)).toEqual(["Code: 11 <c7>", "Code: 22 <c7>"]);
  });

  it("gives code to whose task printed it where a tracepoint tells, whatever comes in between", () => {
    const fault = (pid: number) => `a[${pid}]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]`;
    const forged = "Code: 90 90[40]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]";
    const texts = [fault(10), fault(20), "x", forged, "Code: 22 <c7>", fault(30), "Code: 11 <c7>"];
    const container = knows([10, 1], [20, 2], [30, 3], [40, 4]);
    const codes = (printers: readonly number[]) =>
      native
        .sortLog(records([...texts, "Code: 33 <c7>"]), container, printers)
        .filter(({ pid }) => [10, 20, 30].includes(pid))
        .map(({ pid, lines: [, code] }) => [pid, code]);
    expect(codes([10, 20, 5, 40, 20, 30, 10, 30])).toEqual([
      [10, "Code: 11 <c7>"],
      [20, "Code: 22 <c7>"],
      [30, "Code: 33 <c7>"],
    ]);
    // Nothing is known of the last two but that they come last.
    expect(codes([10, 20, 5, 40, 20, 30])).toEqual([
      [10, undefined],
      [20, "Code: 22 <c7>"],
      [30, undefined],
    ]);
  });

  it("takes no code that does not follow a fault", () => {
    expect(sort(["Code: 11 <c7>"])).toEqual([]);
    const groups = sort(
      [
        "a[10]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]",
        "RIP: 0010:native_halt+0xa/0x10",
        "Code: 11 <c7>",
      ],
      knows([10, 1]),
    );
    expect(linesOf(groups)).toHaveLength(1);
  });
});

describe("what the log's threads tell (PRINTK_CALLER)", () => {
  it("is passed on without the host's addresses", () => {
    const groups = native.sortLog(
      records(
        [
          "process 321 did something",
          "WARNING: CPU: 1 PID: 321 at mm/x.c:1",
          "RAX: 0000000000000001 RBX: 00007ffcd5c65c08",
          " dump_stack_lvl+0x57/0x80",
          "at ffff8881deadbeef",
        ],
        "4",
        ",caller=T321",
      ),
      knows([321, 5]),
    );
    expect(groups.map(({ kind, pid }) => [kind, pid])).toEqual([["caller", 321]]);
    expect(linesOf(groups)).toEqual(["process 5 did something"]);
  });

  const told = (texts: readonly string[], container = knows([321, 5])) =>
    linesOf(native.sortLog(records(texts, "4", ",caller=T321"), container));

  it("has the container's PIDs wherever the kernel writes one, and is not told with others", () => {
    const lines = [
      "mmap: x (321): limit",
      "x[320] asked",
      "y (322) was traced by pid=321",
      "by pid 320",
    ];
    expect(told(lines, knows([321, 5], [320, 4]))).toEqual([
      "mmap: x (5): limit",
      "x[4] asked",
      "by pid 4",
    ]);
  });

  it("is not told of the node's memory and tasks, which it may have made the kernel tell of", () => {
    const dump = [
      "x: page allocation failure: order:9, mode:0x40dc0(GFP_KERNEL), nodemask=(null),cpuset=/",
      "active_anon:123 inactive_anon:456 isolated_anon:0",
      "Node 0 Normal free:1234kB boost:0kB",
      "524158 pages RAM",
    ];
    expect(told([...dump, "its own"])).toEqual([]);
    // A second later it is over.
    const later = "4,5,9000000,-,caller=T321;its own\n";
    const all = [...records(dump, "4", ",caller=T321"), later];
    expect(linesOf(native.sortLog(all, knows([321, 5])))).toEqual(["its own"]);
    // And others were never part of it.
    const between = [...records(dump, "4", ",caller=T321"), "4,5,1009,-,caller=T322;else\n"];
    expect(linesOf(native.sortLog(between, knows([322, 6])))).toEqual(["else"]);
  });

  const BEGIN = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
  const at = (sequence: number, time: number, text: string) =>
    `4,${sequence},${time},-,caller=T321;${text}\n`;

  it("is not told of the node's memory where the rest of that comes late, or after a loss", () => {
    const slow = [
      at(1, 1000, BEGIN),
      at(2, 1100, "Mem-Info:"),
      at(3, 401_100, "active_anon:123 inactive_anon:456 isolated_anon:0"),
      at(4, 801_100, "524158 pages RAM"),
    ];
    expect(linesOf(native.sortLog(slow, knows([321, 5])))).toEqual([]);
    const lost = [at(1, 1000, BEGIN), at(9, 5_001_000, "524158 pages RAM")];
    expect(linesOf(native.sortLog(lost, knows([321, 5])))).toEqual([]);
    // Also if its beginning was lost.
    const other = [at(1, 1000, "Mem-Info:"), at(9, 5_001_000, "524158 pages RAM")];
    expect(linesOf(native.sortLog(other, knows([321, 5])))).toEqual([]);
  });

  it("is told of what it goes on to print, however steadily, soon after a loss", () => {
    const steady = Array.from({ length: 10 }, (_, i) =>
      at(9 + i, 5_000_000 + 900_000 * i, `y${i}: in`),
    );
    const told = linesOf(native.sortLog([at(1, 1000, "x"), ...steady], knows([321, 5])));
    expect(told).toEqual(["x", "y6: in", "y7: in", "y8: in", "y9: in"]);
    // A dump that begins afterwards goes on.
    const dump = [at(1, 1000, "x"), at(8, 5_000_000, "Mem-Info:"), ...steady];
    expect(linesOf(native.sortLog(dump, knows([321, 5])))).toEqual(["x"]);
  });

  it("is told of what it prints soon after a kill that it is not known who printed", () => {
    const told = (text: string) => {
      const all = [
        `4,1,1000,-;${BEGIN}\n`,
        at(2, 1100, text),
        `4,3,1200,-;${KILL_OF_9}\n`,
        "4,4,1300,-;Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB\n",
        at(5, 400_000, "its own"),
      ];
      const groups = native.sortLog(all, knows([321, 5], [9, 4]));
      return linesOf(groups.filter(({ kind }) => kind === "caller"));
    };
    expect(told("something")).toEqual(["its own"]);
    expect(told("Mem-Info:")).toEqual([]);
  });

  it("is told of a kill whole though the node's memory in it takes long", () => {
    const texts = [BEGIN, "Mem-Info:", "active_anon:1", "524158 pages RAM", KILL_OF_9];
    const slow = texts.map((text, i) => at(i + 1, 1000 + 200_000 * i, text));
    const killed = "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB";
    const all = [...slow, at(6, 801_100, killed), at(7, 801_200, "its own")];
    const groups = native.sortLog(all, knows([321, 5], [9, 4]));
    expect(groups.map(({ kind, lines }) => [kind, lines.length])).toEqual([
      ["oom", 3],
      ["caller", 1],
    ]);
  });

  it("has no names of the host's for the other ends of its network devices", () => {
    const lines = [
      "br0: port 2(veth1) entered disabled state",
      "veth1 (unregistering): left promiscuous mode",
      "eth0: entered promiscuous mode",
    ];
    expect(told(lines)).toEqual(["eth0: entered promiscuous mode"]);
  });

  it("is nothing without a thread", () => {
    expect(sort(["something happened"])).toEqual([]);
    expect(native.sortLog(["6,1,2,-,caller=C1;something\n"], WEB1)).toEqual([]);
  });
});

describe("what a hostile container does", () => {
  it("tells nobody anything by writing to the host's log", () => {
    const texts = [
      "cgroup: fork rejected by pids controller in /lxc/web1",
      "a[10]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]",
      "Memory cgroup out of memory: Killed process 10 (a) total-vm:1kB",
    ];
    expect(native.sortLog(records(texts, "14"), knows([10, 1]))).toEqual([]);
  });

  const HEAD = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=";
  it.each([
    [
      "a kill, by the name of a cpuset",
      `${HEAD}x,oom_memcg=,task_memcg=,mems_allowed=0,oom_memcg=/evil,task_memcg=/evil,task=t,pid=1,uid=0`,
    ],
    [
      "a kill, by the name of a cgroup",
      `${HEAD}/,mems_allowed=0,oom_memcg=/evil/x,task_memcg=/lxc/web1,task_memcg=/evil/x,task_memcg=/lxc/web1/y,task=t,pid=1,uid=0`,
    ],
    [
      "a kill of the node's, by the name of a cgroup",
      "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/evil/x,task_memcg=/lxc/web1,task=t,pid=1,uid=0",
    ],
    [
      "a kill, by a command",
      `${HEAD}/,mems_allowed=0,oom_memcg=/evil,task_memcg=/evil,task=a,task_memcg=/,pid=1,uid=0`,
    ],
    [
      "a rejected fork",
      "cgroup: fork rejected by pids controller in /evil/cgroup: fork rejected by pids controller in /lxc/web1",
    ],
  ])("gives nobody else %s", (_what, text) => {
    for (const { memoryPath, pidsPath, limitPath } of sort([text])) {
      for (const path of [memoryPath, pidsPath, limitPath]) {
        expect(path === "" || path.startsWith("/evil")).toBe(true);
      }
    }
  });

  it.each([
    ["a[1] trap b", "traps: a[1] trap b[42] trap invalid opcode ip:1 sp:2 error:0 in x[1+1]"],
    ["[1]: segfault (", "[1]: segfault ([42]: segfault at 0 ip 1 sp 2 error 6 in x[1+1]"],
    ["a[1]: segfault", "a[1]: segfault[42]: segfault at 0 ip 1 sp 2 error 6 in x[1+1]"],
    ["a file", "a[42]: segfault at 0 ip 1 sp 2 error 6 in b[1]: segfault at 0[1+1]"],
    [
      "a file, trapped",
      "traps: a[42] trap int3 ip:1 sp:2 error:0 in b[1] trap int3 ip:1 sp:2 error:0[1+1]",
    ],
    ["oom-kill:", "oom-kill:[42]: segfault at 0 ip 1 sp 2 error 6 in x[1+1]"],
    ["a newline", "a\\x0a4,5,-;b[42]: segfault at 0 ip 1 sp 2 error 6 in x[1+1]"],
  ])("is itself, though it is called %s", (_name, text) => {
    expect(sort([text]).map(({ pid }) => pid)).toEqual([42]);
  });

  it("is told of its own kills, whatever its command is called", () => {
    const groups = native
      .sortLog(recorded("hostile.log"), knows([42, 1]))
      .map(({ kind, memoryPath, pid, lines }) => [kind, memoryPath, pid, lines.at(-1)]);
    const own = ["oom", "/lxc/evil", 43];
    const killed = (name: string) => `Memory cgroup out of memory: Killed process 0 (${name})`;
    expect(groups).toEqual([
      [...own, expect.stringContaining(killed(",task=a"))],
      [...own, expect.stringContaining(killed(",task=,pid=42"))],
      // Its path may end where its command begins, or later: what is above both is proven.
      ["oom", "/lxc", 43, expect.stringContaining("Killed process 0 (,task=,task=)")],
      ["oom", "/lxc/evil", 43, expect.stringContaining("Killed process 0 (a,task=b/)")],
      ["fault", "", 43, undefined],
      ["fault", "", 43, undefined],
    ]);
  });

  it("is told nothing that goes on with a line of somebody else", () => {
    const texts = [
      "Memory cgroup out of memory: Killed process 42 (a) total-vm:1kB",
      "a[42]: segfault at 0 ip 1 sp 2 error 6 in a[1+1]",
      "cgroup: fork rejected by pids controller in /lxc/web1",
    ];
    const fragments = texts.map((text, i) => `6,${i + 1},${1000 + i},c;${text}\n`);
    expect(native.sortLog(fragments, knows([42, 1]))).toEqual([]);
  });

  it("does not have 100,000 lines in hand", () => {
    const begin = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
    const rows = new Array<string>(100_000).fill("anon 1");
    const summary = `${HEAD}/,mems_allowed=0,oom_memcg=/lxc/web1,task_memcg=/lxc/web1,task=t,pid=1,uid=0`;
    const [kill] = sort([begin, ...rows, summary]);
    expect(kill?.lines.length ?? 0).toBeLessThanOrEqual(20_001);
    expect(kill?.lines.at(-1)).toMatch(/^oom-kill:/);
  });

  it("has not all of its processes looked up, but is told how it ends", () => {
    const begin = "x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0";
    const some = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
    const rows = some(25_000).map((pid) => `[${pid}] 0 ${pid} 1 1 1 0 0 0 m`);
    const killed = "Memory cgroup out of memory: Killed process 9 (m) total-vm:1kB";
    const all = knows(...some(25_000).map((pid) => [pid, pid] as const));
    const [kill] = sort([begin, ...rows, "anon 1", KILL_OF_9, killed], all);
    const place = "Memory cgroup stats for /lxc/web1:";
    const lines = kill?.lines ?? [];
    expect(lines.filter((line) => line.startsWith("["))).toHaveLength(512);
    expect(lines.slice(-2)).toEqual([expect.stringMatching(/^oom-kill:/), killed]);
    // A smaller one is told whole.
    const [whole] = sort([begin, place, ...rows.slice(0, 500), KILL_OF_9, killed], all);
    expect(whole?.lines).toHaveLength(504);
  });
});

describe("10,000 records a second", () => {
  it.each([
    ["kills and faults", recorded("6.18-x86.log")],
    ["what is nobody's", records(["eth0: link is up and running at 1000 Mbps"])],
  ])("take less than a fifth of a CPU: %s", (_what, some) => {
    const flood = Array.from({ length: 10_000 }, (_, i) => some[i % some.length] ?? "");
    const begun = process.cpuUsage();
    native.timeLog(flood);
    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1e6).toBeLessThan(0.2);
  });
});
