/**
 * Made-up hosts with one container, written as recorded trees are (test/fixtures), so that sources
 * and views see figures that no machine would be brought to.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { memoryKeys } from "../support/testing.ts";

interface Bandwidth {
  readonly quotaUs: bigint;
  readonly periodUs: bigint;
}

/** What one cgroup may use; null is no limit. Bytes. */
interface Limits {
  readonly memory: bigint | null;
  /** v2: memory.swap.max. v1: memory.memsw.limit_in_bytes. */
  readonly swap: bigint | null;
  readonly cpu: Bandwidth | null;
}

/** What a container did to a device: one of `disks`, or one that is gone. */
export interface Io {
  readonly device: string;
  readonly readBytes: bigint;
  readonly writtenBytes: bigint;
  readonly reads: bigint;
  readonly writes: bigint;
  readonly discards: bigint;
  readonly discardedBytes: bigint;
}

export interface Container {
  readonly version: 1 | 2;
  /** Whether there is a memory controller. */
  readonly accounted: boolean;
  /** Of the container's parent and of its own cgroup. */
  readonly limits: readonly [Limits, Limits];
  /** The effective cpuset. */
  readonly cpuset: readonly number[];
  readonly usage: bigint;
  /** null: swap is not accounted. */
  readonly swapUsed: bigint | null;
  readonly swappiness: number;
  /** memory.stat, by v2's names. */
  readonly stat: Readonly<Record<string, bigint>>;
  readonly uptimeUs: number;
  readonly cpu: { readonly user: bigint; readonly nice: bigint; readonly system: bigint };
  readonly throttledUs: bigint;
  readonly io: readonly Io[];
  /** Devices with a limit in the parent (v2). */
  readonly ioLimits: readonly string[];
  readonly events: { readonly pgfault: bigint; readonly pgmajfault: bigint };
  readonly oomKills: bigint;
}

export interface Host {
  readonly memTotalKb: bigint;
  readonly memFreeKb: bigint;
  /** As much as is free, unless named. */
  readonly memAvailableKb?: bigint;
  /** Of the page cache, shmem included; a third of memory, unless named. */
  readonly cachedKb?: bigint;
  /** In every line of meminfo that has no other value; a third of memory, unless named. */
  readonly othersKb?: bigint;
  readonly swapTotalKb: bigint;
  readonly cpus: number;
  readonly threadsPerCore: number;
  readonly packages: number;
}

const parent = "outer";
const own = `${parent}/box`;
const init = 4711;
const startTicks = 100_000;

/** What v1 calls the keys of v2's memory.stat. */
const v1Keys: ReadonlyMap<string, string | null> = new Map(memoryKeys());

type Files = Record<string, string>;

/** The lines of a host's /proc/meminfo, one of them of a kernel that does not exist. */
export const meminfoLabels =
  `MemTotal MemFree MemAvailable Buffers Cached SwapCached Active Inactive
  Active(anon) Inactive(anon) Active(file) Inactive(file) Unevictable Mlocked SwapTotal SwapFree
  Zswap Zswapped Dirty Writeback AnonPages Mapped Shmem KReclaimable Slab SReclaimable SUnreclaim
  KernelStack PageTables SecPageTables NFS_Unstable Bounce WritebackTmp CommitLimit Committed_AS
  VmallocTotal VmallocUsed VmallocChunk Percpu HardwareCorrupted AnonHugePages ShmemHugePages
  ShmemPmdMapped FileHugePages FilePmdMapped NewInSomeKernel HugePages_Total HugePages_Free
  HugePages_Rsvd HugePages_Surp Hugepagesize Hugetlb DirectMap4k DirectMap2M`.split(/\s+/);

/** What of the host's lines is not a third of its memory. */
export function hostValues(host: Host): Readonly<Record<string, bigint>> {
  return {
    MemTotal: host.memTotalKb,
    MemFree: host.memFreeKb,
    MemAvailable: host.memAvailableKb ?? host.memFreeKb,
    Buffers: (host.memTotalKb - host.memFreeKb) / 3n,
    ...(host.cachedKb !== undefined && { Cached: host.cachedKb, SReclaimable: 0n }),
    SwapTotal: host.swapTotalKb,
    SwapFree: host.swapTotalKb,
    CommitLimit: host.memTotalKb / 2n + host.swapTotalKb,
    VmallocTotal: 34359738367n,
    Hugepagesize: 2048n,
    DirectMap4k: host.memTotalKb / 8n,
    DirectMap2M: host.memTotalKb,
  };
}

function meminfo(host: Host): string {
  const values = hostValues(host);
  const others = host.othersKb ?? host.memTotalKb / 3n;
  const text = meminfoLabels.map((label) => {
    const pages = label.startsWith("HugePages_");
    const value = values[label] ?? (pages ? 0n : others);
    // Two widths, as in fs/proc/meminfo.c.
    const [left, right] = pages || label === "HardwareCorrupted" ? [19, 5] : [16, 8];
    return `${`${label}:`.padEnd(left)}${String(value).padStart(right)}${pages ? "" : " kB"}\n`;
  });
  return text.join("");
}

function cpuinfo(host: Host): string {
  const perPackage = Math.ceil(host.cpus / host.packages);
  const blocks = Array.from({ length: host.cpus }, (_, cpu) => {
    const physical = Math.floor(cpu / perPackage);
    const siblings = Math.min(perPackage, host.cpus - physical * perPackage);
    const cores = Math.ceil(siblings / host.threadsPerCore);
    const core = Math.floor((cpu % perPackage) / host.threadsPerCore);
    return (
      `processor\t: ${cpu}\nphysical id\t: ${physical}\nsiblings\t: ${siblings}\n` +
      `core id\t\t: ${core}\ncpu cores\t: ${cores}\nflags\t\t: fpu\n\n`
    );
  });
  return blocks.join("");
}

function stat(host: Host): string {
  const cpu = " 900001 900002 900003 900004 900005 900006 900007 900008 900009 900010\n";
  const ids = Array.from({ length: host.cpus }, (_, id) => `cpu${id}${cpu}`).join("");
  return (
    `cpu ${cpu}${ids}intr 900011 1 2 3\nctxt 900012\nbtime 1700000000\nprocesses 900013\n` +
    "procs_running 90\nprocs_blocked 91\nsoftirq 900014 1 2 3 4 5 6 7 8 9 10\n"
  );
}

/** The host's devices: the last one has no size, so that it is in no list of partitions. */
export const disks = [
  { device: "8:0", name: "sda" },
  { device: "8:1", name: "sda1" },
  { device: "259:1048575", name: "nvme0n1" },
  { device: "253:0", name: "dm-0" },
  { device: "7:0", name: "loop0" },
] as const;

function deviceColumns(device: string, widths: readonly [number, number], between: string): string {
  const [major = "", minor = ""] = device.split(":");
  return `${major.padStart(widths[0])}${between}${minor.padStart(widths[1])}`;
}

function diskFiles(): Files {
  const activity = Array.from({ length: 17 }, (_, i) => 7_777_700_020 + i).join(" ");
  const stats = disks.map(({ device, name }) => {
    return `${deviceColumns(device, [4, 7], " ")} ${name} ${activity}\n`;
  });
  const sized = disks.slice(0, -1).map(({ device, name }) => {
    return `${deviceColumns(device, [4, 7], "  ")} ${"1048576".padStart(10)} ${name}\n`;
  });
  return {
    "proc/diskstats": stats.join(""),
    "proc/partitions": `major minor  #blocks  name\n\n${sized.join("")}`,
  };
}

const nodeKeys = `nr_inactive_anon nr_active_anon nr_inactive_file nr_active_file nr_unevictable
  nr_slab_reclaimable nr_slab_unreclaimable workingset_refault_file nr_anon_pages nr_mapped
  nr_file_pages nr_dirty nr_writeback nr_shmem nr_dirtied nr_kernel_stack nr_page_table_pages
  nr_swapcached nr_in_some_kernel`.split(/\s+/);
const zoneKeys = `nr_free_pages nr_zone_inactive_anon nr_zone_active_anon
  nr_zone_inactive_file nr_zone_active_file nr_zone_unevictable nr_zone_write_pending nr_mlock
  numa_hit`.split(/\s+/);
export const vmstatKeys = [
  ...zoneKeys,
  ...nodeKeys,
  ...`nr_dirty_threshold nr_dirty_background_threshold pgpgin pgpgout pswpin pgfault pgmajfault
  pgscan_file oom_kill event_in_some_kernel`.split(/\s+/),
];

const figures = (keys: readonly string[], indent: string): string =>
  keys.map((key, i) => `${indent}${key.padEnd(12)} ${7_777_700_040 + i}\n`).join("");

/** One zone of `pages`; `first`: with the figures of its node. */
function zone(node: number, name: string, pages: bigint, first: boolean, cpus: number): string {
  const sizes = ["boost", "min", "low", "high", "spanned", "present", "managed", "cma"].map(
    (key) => {
      const size = key === "min" || key === "low" || key === "high" ? pages / 100n : pages;
      return `        ${key.padEnd(8)} ${key === "boost" || key === "cma" ? 0 : size}\n`;
    },
  );
  const protection = `        protection: (0, ${pages / 256n}, ${pages / 256n})\n`;
  const title = `Node ${node}, zone ${name.padStart(8)}\n`;
  const nodeStats = first ? `  per-node stats\n${figures(nodeKeys, "      ")}` : "";
  const head = `  pages free     ${pages / 2n}\n${sizes.join("")}${protection}`;
  if (pages === 0n) {
    return `${title}${head}`;
  }
  const sets = Array.from({ length: cpus }, (_, cpu) => {
    return (
      `    cpu: ${cpu}\n              count:    7777700062\n              high:     378\n` +
      "              batch:    63\n  vm stats threshold: 10\n"
    );
  });
  return (
    `${title}${nodeStats}${head}${figures(zoneKeys, "      ")}  pagesets\n${sets.join("")}` +
    "  node_unreclaimable:  0\n  start_pfn:           4096\n"
  );
}

/** A node of two zones for each package, and one without memory. */
function zoneinfo(host: Host): string {
  const pages = host.memTotalKb / 4n;
  const nodes = Array.from({ length: host.packages + 1 }, (_, node) => {
    const parts = BigInt(host.packages);
    const all = node === host.packages ? 0n : pages / parts + (node === 0 ? pages % parts : 0n);
    const low = all < 4000n ? all : 4000n;
    return (
      zone(node, "DMA", low, true, host.cpus) +
      zone(node, "Normal", all - low, low === 0n, host.cpus) +
      zone(node, "Movable", 0n, false, host.cpus)
    );
  });
  return nodes.join("");
}

function buddyinfo(host: Host): string {
  const titles = zoneinfo(host).match(/^Node \d+, zone +\w+$/gm) ?? [];
  return titles.map((title) => `${title} ${"7777700110 ".repeat(11)}\n`).join("");
}

function table(host: Host, rows: readonly (readonly [string, string])[], blanks: number): string {
  const ids = Array.from({ length: host.cpus }, (_, id) => id);
  const head = ids.map((id) => `CPU${String(id).padEnd(8)}`).join("");
  const lines = rows.map(([label, tail]) => {
    const numbers = ids.map((id) => ` ${String(7_777_700_080 + id).padStart(10)}`).join("");
    return `${label}:${numbers}${tail}\n`;
  });
  return `${" ".repeat(blanks)}${head}\n${lines.join("")}`;
}

function schedstat(host: Host): string {
  const all = ((1n << BigInt(host.cpus)) - 1n).toString(16).padStart(8, "0");
  const domain = (name: string, mask: string) =>
    `${name} 00000000,${mask}${" 7777700095".repeat(36)}\n`;
  const cpus = Array.from({ length: host.cpus }, (_, id) => {
    const pair = (3n << BigInt(id - (id % 2))).toString(16).padStart(8, "0");
    return `cpu${id}${" 7777700096".repeat(9)}\n${domain("domain0 SMT", pair)}${domain("domain1 PKG", all)}`;
  });
  return `version 17\ntimestamp 4294967097\n${cpus.join("")}`;
}

function shapeFiles(host: Host): Files {
  const vectors = "ERR: 7777700098\nMIS: 7777700099\n";
  return {
    ...diskFiles(),
    "proc/vmstat": vmstatKeys.map((key, i) => `${key} ${7_777_700_040 + i}\n`).join(""),
    "proc/zoneinfo": zoneinfo(host),
    "proc/buddyinfo": buddyinfo(host),
    "proc/softirqs": table(
      host,
      [
        ["          HI", ""],
        ["       TIMER", ""],
      ],
      20,
    ),
    "proc/interrupts":
      table(
        host,
        [
          ["  0", "  IO-APIC   2-edge      timer"],
          ["LOC", "   Local timer"],
        ],
        11,
      ) + vectors,
    "proc/schedstat": schedstat(host),
    "proc/slabinfo": "slabinfo - version: 2.1\n# name ...\ndentry 7777700100 7777700100 192 21 1\n",
  };
}

function hostFiles(host: Host): Files {
  const list = host.cpus === 1 ? "0\n" : `0-${host.cpus - 1}\n`;
  const swap =
    host.swapTotalKb === 0n ? "" : `/dev/sdz9  partition\t${host.swapTotalKb}\t\t900015\t\t-2\n`;
  return {
    ...shapeFiles(host),
    "proc/meminfo": meminfo(host),
    "proc/stat": stat(host),
    "proc/cpuinfo": cpuinfo(host),
    "proc/swaps": `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${swap}`,
    "sys/devices/system/cpu/online": list,
    "sys/devices/system/cpu/possible": list,
    "sys/devices/system/cpu/present": list,
  };
}

function lines(values: Readonly<Record<string, bigint | number>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("");
}

function ioStat({ io }: Container): string {
  const rows = io.map(
    (d) =>
      `${d.device} rbytes=${d.readBytes} wbytes=${d.writtenBytes} rios=${d.reads} ` +
      `wios=${d.writes} dbytes=${d.discardedBytes} dios=${d.discards}\n`,
  );
  return rows.join("");
}

/** Both policies count; the other one less. */
function blkioFiles({ io }: Container): Files {
  const file = (of: (d: Io) => readonly [bigint, bigint, bigint], divisor: bigint): string => {
    const rows = io.map((d) => {
      const [read, write, discard] = of(d);
      const kinds = { Read: read, Write: write, Sync: 7_777_700_101n, Async: 0n, Discard: discard };
      return Object.entries({ ...kinds, Total: 7_777_700_102n })
        .map(([kind, value]) => `${d.device} ${kind} ${value / divisor}\n`)
        .join("");
    });
    return `${rows.join("")}Total 7777700103\n`;
  };
  const bytes = (d: Io) => [d.readBytes, d.writtenBytes, d.discardedBytes] as const;
  const requests = (d: Io) => [d.reads, d.writes, d.discards] as const;
  const directory = `cgroup/blkio/${own}`;
  return {
    [`${directory}/blkio.throttle.io_service_bytes_recursive`]: file(bytes, 1n),
    [`${directory}/blkio.throttle.io_serviced_recursive`]: file(requests, 1n),
    [`${directory}/blkio.bfq.io_service_bytes_recursive`]: file(bytes, 2n),
    [`${directory}/blkio.bfq.io_serviced_recursive`]: file(requests, 2n),
  };
}

function v2Files(container: Container): Files {
  const controllers = `cpuset cpu io ${container.accounted ? "memory " : ""}pids\n`;
  const files: Files = {
    [`proc/${init}/cgroup`]: `0::/${own}\n`,
    "cgroup/cgroup.controllers": controllers,
    "cgroup/cgroup.subtree_control": controllers,
    [`cgroup/${parent}/cgroup.subtree_control`]: controllers,
    [`cgroup/${own}/memory.current`]: `${container.usage}\n`,
    [`cgroup/${own}/memory.stat`]: lines({ ...container.stat, ...container.events }),
    [`cgroup/${own}/memory.events`]: lines({ oom: 7, oom_kill: container.oomKills }),
    [`cgroup/${own}/io.stat`]: ioStat(container),
    [`cgroup/${parent}/io.max`]: container.ioLimits
      .map((device) => `${device} rbps=max wbps=1048576 riops=max wiops=max\n`)
      .join(""),
    [`cgroup/${own}/cpuset.cpus.effective`]: `${container.cpuset.join(",")}\n`,
    [`cgroup/${own}/cpu.stat`]: lines({
      usage_usec: container.cpu.user + container.cpu.nice + container.cpu.system,
      user_usec: container.cpu.user + container.cpu.nice,
      system_usec: container.cpu.system,
      nice_usec: container.cpu.nice,
      throttled_usec: container.throttledUs,
    }),
  };
  if (container.swapUsed !== null) {
    files[`cgroup/${own}/memory.swap.current`] = `${container.swapUsed}\n`;
  }
  for (const [path, limits] of limitsByPath(container)) {
    const quota = limits.cpu ?? { quotaUs: "max", periodUs: 100000 };
    files[`cgroup/${path}/memory.max`] = `${limits.memory ?? "max"}\n`;
    files[`cgroup/${path}/memory.swap.max`] = `${limits.swap ?? "max"}\n`;
    files[`cgroup/${path}/cpu.max`] = `${quota.quotaUs} ${quota.periodUs}\n`;
  }
  return files;
}

function limitsByPath(container: Container): [string, Limits][] {
  return [
    [parent, container.limits[0]],
    [own, container.limits[1]],
  ];
}

/** What v1 prints for a limit that was never set: LONG_MAX rounded down to a page. */
const v1NoLimit = 9223372036854771712n;

export function least(values: readonly (bigint | null)[]): bigint | null {
  return values.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
}

function v1Stat(container: Container): string {
  const [outer, inner] = container.limits;
  const values: Record<string, bigint> = {
    hierarchical_memory_limit: least([outer.memory, inner.memory]) ?? v1NoLimit,
    hierarchical_memsw_limit: least([outer.swap, inner.swap]) ?? v1NoLimit,
  };
  for (const [key, value] of Object.entries(container.stat)) {
    const name = v1Keys.get(key) ?? null;
    if (name !== null) {
      values[name] = value;
    }
  }
  if (container.swapUsed !== null) {
    values.total_swap = container.swapUsed;
  }
  values.total_pgpgin = 7_777_700_104n;
  values.total_pgfault = container.events.pgfault;
  values.total_pgmajfault = container.events.pgmajfault;
  return lines(values);
}

/** Per-CPU time is spread unevenly over the cpuset, the way that no kernel would. */
function v1UsageAll(container: Container, host: Host): string {
  const rows = Array.from({ length: host.cpus }, (_, cpu) => {
    const share = container.cpuset.includes(cpu) ? BigInt(cpu + 1) : 0n;
    return `${cpu} ${(container.cpu.user * 1000n) / (share + 1n)} ${share * 1000n}\n`;
  });
  return `cpu user system\n${rows.join("")}`;
}

function v1Files(container: Container, host: Host): Files {
  const names = ["memory", "cpu", "cpuacct", "cpuset", "blkio"];
  const files: Files = {
    [`proc/${init}/cgroup`]: names.map((name, i) => `${i + 1}:${name}:/${own}\n`).join(""),
    [`cgroup/memory/${own}/memory.usage_in_bytes`]: `${container.usage}\n`,
    [`cgroup/memory/${own}/memory.stat`]: v1Stat(container),
    ...blkioFiles(container),
    [`cgroup/memory/${own}/memory.oom_control`]: lines({
      oom_kill_disable: 0,
      under_oom: 0,
      oom_kill: container.oomKills,
    }),
    [`cgroup/memory/${own}/memory.swappiness`]: `${container.swappiness}\n`,
    [`cgroup/cpuset/${own}/cpuset.effective_cpus`]: `${container.cpuset.join(",")}\n`,
    [`cgroup/cpu/${own}/cpu.stat`]: lines({ throttled_time: container.throttledUs * 1000n }),
    [`cgroup/cpuacct/${own}/cpuacct.usage_all`]: v1UsageAll(container, host),
    [`cgroup/cpuacct/${own}/cpuacct.stat`]: lines({
      user: (container.cpu.user + container.cpu.nice) / 10_000n,
      system: container.cpu.system / 10_000n,
    }),
  };
  for (const [path, limits] of limitsByPath(container)) {
    files[`cgroup/cpu/${path}/cpu.cfs_quota_us`] = `${limits.cpu?.quotaUs ?? -1}\n`;
    files[`cgroup/cpu/${path}/cpu.cfs_period_us`] = `${limits.cpu?.periodUs ?? 100000}\n`;
  }
  return files;
}

/** The host's /proc/meminfo in the tree at `dir`. */
export function hostMeminfo(dir: string): string {
  return readFileSync(join(dir, "proc/meminfo"), "utf8");
}

/** Writes the tree anew into `dir`, to be read with renderFixture(). */
export function writeCase(dir: string, host: Host, container: Container): void {
  // The 22nd field is the start; the name has what separates fields.
  const fields = Array.from({ length: 30 }, (_, i) => (i === 18 ? startTicks : i));
  const files: Files = {
    ...hostFiles(host),
    ...(container.version === 2 ? v2Files(container) : v1Files(container, host)),
    [`proc/${init}/stat`]: `${init} (a) S 1 (b) S ${fields.join(" ")}\n`,
    "container.json": JSON.stringify({
      init,
      clock: { boottime_us: startTicks * 10_000 + container.uptimeUs, realtime_us: 0 },
    }),
  };
  rmSync(dir, { recursive: true, force: true });
  const memory = /^cgroup\/.*\/memory\.|^cgroup\/memory/;
  for (const [path, text] of Object.entries(files)) {
    if (memory.test(path) && !container.accounted) {
      continue;
    }
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** A node of two CPUs and 4 GiB, for tests of one thing at a time. */
export const PLAIN_HOST: Host = {
  memTotalKb: 4194304n,
  memFreeKb: 1048576n,
  swapTotalKb: 0n,
  cpus: 2,
  threadsPerCore: 1,
  packages: 1,
};

export const NO_LIMITS = { memory: null, swap: null, cpu: null };

/** A container of that node: no limits, nothing used but a page, one second old. */
export const PLAIN_BOX: Container = {
  version: 2,
  accounted: true,
  limits: [NO_LIMITS, NO_LIMITS],
  cpuset: [0, 1],
  usage: 4096n,
  swapUsed: 0n,
  swappiness: 60,
  stat: {},
  uptimeUs: 1_000_000,
  cpu: { user: 0n, nice: 0n, system: 0n },
  throttledUs: 0n,
  io: [],
  ioLimits: [],
  events: { pgfault: 0n, pgmajfault: 0n },
  oomKills: 0n,
};
