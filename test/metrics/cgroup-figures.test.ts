// What recorded cgroups tell operators, on v1, v2 and both.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";
import { figuresOfFixture } from "../support/testing.js";

const FIXTURES = join(project, "test/fixtures");

function figures(name: string): ReadonlyMap<string, number> {
  return figuresOfFixture(join(FIXTURES, name));
}

/** The number that a pattern finds in a recorded file. */
function recorded(name: string, file: string, pattern: RegExp): number {
  const text = readFileSync(join(FIXTURES, name, "cgroup", file), "utf8");
  return Number(pattern.exec(text)?.[1]);
}

describe("cgroup v2", () => {
  const name = "v2-x86-2cpu-swap";
  const own = "lxc.payload.web";
  const found = figures(name);

  it.each([
    ["eventsLow", "memory.events", /^low (\d+)$/m],
    ["eventsHigh", "memory.events", /^high (\d+)$/m],
    ["eventsMax", "memory.events", /^max (\d+)$/m],
    ["eventsOom", "memory.events", /^oom (\d+)$/m],
    ["oomKills", "memory.events", /^oom_kill (\d+)$/m],
    ["periods", "cpu.stat", /^nr_periods (\d+)$/m],
    ["throttledPeriods", "cpu.stat", /^nr_throttled (\d+)$/m],
    ["memoryPressure", "memory.pressure", /^some avg10=([\d.]+)/m],
  ])("%s is what %s says", (figure, file, pattern) => {
    expect(found.get(figure)).toBe(recorded(name, join(own, file), pattern));
  });

  it.each([
    ["cpuWaiting", "cpu.pressure", /^some .*total=(\d+)$/m],
    ["memoryStalled", "memory.pressure", /^full .*total=(\d+)$/m],
    ["ioWaiting", "io.pressure", /^some .*total=(\d+)$/m],
  ])("%s is in seconds", (figure, file, pattern) => {
    expect(found.get(figure)).toBeCloseTo(recorded(name, join(own, file), pattern) / 1e6, 9);
  });

  it.each([
    ["eventsLow", 1],
    ["eventsHigh", 1],
    ["eventsOom", 1],
    ["oomGroupKills", 1],
    ["cpuWaiting", 1e6],
    ["cpuStalled", 1e6],
    ["memoryWaiting", 1e6],
    ["memoryStalled", 1e6],
    ["ioWaiting", 1e6],
    ["ioStalled", 1e6],
  ])("%s goes on when the container was moved", (figure, unit) => {
    const directory = mkdtempSync(join(tmpdir(), testName("counters-")));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "counters");
    const reading = found.get(figure) ?? Number.NaN;
    expect(reading).not.toBeNaN();
    // Each counter had told of a second, and its cgroup had counted as much by then, as a worker before wrote it.
    const moved = [...Array(20).fill(0), ...Array(10).fill("1000000 1000000000000")].join(" ");
    writeFileSync(file, `vprocfs-counters 1\nm1 1 0 0 0 0 0 ${moved}\nend\n`);
    const now = () => figuresOfFixture(join(FIXTURES, name), file).get(figure);
    // It has counted less, so this is another cgroup: what it has counted is not told.
    expect(now()).toBe(1e6 / unit);
    expect(readFileSync(file, "utf8")).toContain(` 1000000 ${Math.round(reading * unit)}`);
  });

  it("sums the traffic of all devices", () => {
    const text = readFileSync(join(FIXTURES, name, "cgroup", own, "io.stat"), "utf8");
    const sum = (key: string): number =>
      [...text.matchAll(new RegExp(`${key}=(\\d+)`, "g"))].reduce(
        (total, [, value]) => total + Number(value),
        0,
      );
    expect(found.get("readBytes")).toBe(sum("rbytes"));
    expect(found.get("writtenBytes")).toBe(sum("wbytes"));
  });
});

describe("cgroup v1", () => {
  const name = "v1-x86";
  const found = figures(name);

  it("tells kills, tasks and limits where their controllers are", () => {
    const memory = "memory/lxc/t1/deeper";
    const kills = recorded(name, `${memory}/memory.oom_control`, /^oom_kill (\d+)$/m);
    expect(found.get("oomKills")).toBe(kills);
    const failures = recorded(name, `${memory}/memory.failcnt`, /^(\d+)$/m);
    expect(found.get("eventsMax")).toBe(failures);
    const tasks = recorded(name, "pids/lxc/t1/deeper/pids.current", /^(\d+)$/m);
    expect(found.get("pids")).toBe(tasks);
    const periods = recorded(name, "cpu,cpuacct/lxc/t1/cpu.stat", /^nr_periods (\d+)$/m);
    expect(found.get("periods")).toBe(periods);
  });

  it("goes on with an earlier worker's counters, in another cgroup too", () => {
    const directory = mkdtempSync(join(tmpdir(), testName("counters-")));
    const file = join(directory, "counters");
    const periods = found.get("periods") ?? Number.NaN;
    expect(periods).toBeGreaterThan(0);
    const told = (first: number): number | undefined => {
      const moved = [...Array(8).fill(0), 1000, first, ...Array(10).fill(0)].join(" ");
      writeFileSync(file, `vprocfs-counters 1\nm1 1 0 0 0 0 0 ${moved}\nend\n`);
      const now = figuresOfFixture(join(FIXTURES, name), file).get("periods");
      // What the next reading is compared with.
      expect(readFileSync(file, "utf8")).toContain(` ${now} ${periods} `);
      return now;
    };
    expect(told(periods - 1)).toBe(1001);
    expect(told(periods + 1)).toBe(1000);
    rmSync(directory, { recursive: true });
  });

  it("has no pressure, and not the node's", () => {
    expect([...found.keys()].filter((key) => /Waiting|Stalled|Pressure/.test(key))).toEqual([]);
  });
});

describe("both", () => {
  it("take pressure from cgroup2 and the rest from v1", () => {
    const name = "hybrid-x86-2cpu-swap";
    const found = figures(name);
    const own = "vprocfs-fx-swap";
    const total = recorded(name, `unified/${own}/memory.pressure`, /^some .*total=(\d+)$/m);
    expect(found.get("memoryWaiting")).toBeCloseTo(total / 1e6, 9);
    const tasks = recorded(name, `pids/${own}/pids.current`, /^(\d+)$/m);
    expect(found.get("pids")).toBe(tasks);
  });
});

describe("periods of a quota", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), testName("quota-")));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  interface Quotas {
    readonly own: string;
    readonly around: string;
  }

  /** Of the container in `path`, whose runtime has put it into an inner cgroup. */
  function periods(version: "v1" | "v2", path: string, { own, around }: Quotas) {
    const isV2 = version === "v2";
    const fixture = isV2 ? "v2-x86-2cpu-swap" : "v1-x86";
    // v1 has links from one controller to a directory of two.
    cpSync(join(FIXTURES, fixture), directory, { recursive: true, verbatimSymlinks: true });
    const { init } = JSON.parse(readFileSync(join(directory, "container.json"), "utf8"));
    const cgroups = join(directory, `proc/${init}/cgroup`);
    const line = isV2 ? /(?<=^0::\/).*/m : /(?<=^2:cpu,cpuacct:\/).*/m;
    writeFileSync(cgroups, readFileSync(cgroups, "utf8").replace(line, path));
    const inner = join(directory, isV2 ? "cgroup" : "cgroup/cpu,cpuacct", path);
    mkdirSync(inner, { recursive: true });
    const quota = isV2 ? "cpu.max" : "cpu.cfs_quota_us";
    const levels = [
      [inner, own, 3],
      [dirname(inner), around, 5],
      [dirname(dirname(inner)), isV2 ? "max 100000" : "-1", 7],
    ] as const;
    for (const [at, value, count] of levels) {
      writeFileSync(join(at, quota), `${value}\n`);
      writeFileSync(join(at, "cpu.stat"), `nr_periods ${count}0\nnr_throttled ${count}\n`);
    }
    const found = figuresOfFixture(directory);
    return [found.get("periods"), found.get("throttledPeriods")];
  }

  const INNER = "a/libpod-1234.scope/container";
  const v2 = { quota: "50000 100000", none: "max 100000" };
  const v1 = { quota: "50000", none: "-1" };

  it.each(["lxc/100/ns", "machine.slice/machine-web.scope/payload", INNER])(
    "are of the cgroup above %s, where its runtime has set it",
    (path) => {
      expect(periods("v2", path, { own: v2.none, around: v2.quota })).toEqual([50, 5]);
    },
  );

  it("are so on v1", () => {
    expect(periods("v1", "lxc/100/ns", { own: v1.none, around: v1.quota })).toEqual([50, 5]);
  });

  it.each([
    ["own is lower", INNER, v2.quota, v2.quota],
    ["own is the only one", INNER, v2.quota, v2.none],
    ["there is none", INNER, v2.none, v2.none],
    ["the cgroup above is of no runtime", "slice/user.slice/web", v2.none, v2.quota],
  ])("are of the own cgroup where %s", (_, path, own, around) => {
    expect(periods("v2", path, { own, around })).toEqual([30, 3]);
  });
});

describe("traffic of block devices is the same as in diskstats", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), testName("io-")));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function copied(name: string): string {
    cpSync(join(FIXTURES, name), directory, { recursive: true });
    return directory;
  }

  it("where bfq counts and the throttling policy does not (v1)", () => {
    const own = join(copied("v1-x86"), "cgroup/blkio/lxc");
    mkdirSync(own, { recursive: true });
    const bytes = "254:0 Read 4096\n254:0 Write 8192\n254:0 Total 12288\nTotal 12288\n";
    writeFileSync(join(own, "blkio.bfq.io_service_bytes_recursive"), bytes);
    writeFileSync(join(own, "blkio.throttle.io_service_bytes_recursive"), "Total 0\n");
    const found = figuresOfFixture(directory);
    expect([found.get("readBytes"), found.get("writtenBytes")]).toEqual([4096, 8192]);
  });

  it("where a kernel writes several devices in one line (v2)", () => {
    const own = join(copied("v2-x86-2cpu-swap"), "cgroup/lxc.payload.web");
    writeFileSync(join(own, "io.stat"), "8:16 254:0 rbytes=4096 wbytes=1 rios=1 wios=1\n");
    const found = figuresOfFixture(directory);
    expect([found.get("readBytes"), found.get("writtenBytes")]).toEqual([4096, 1]);
  });
});
