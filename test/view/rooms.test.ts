// What a container can still have, when every cgroup above it has limits, and siblings that use them up.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { testName } from "../support/names.js";
import { renderFixture } from "../support/testing.js";
import {
  type Container,
  type Host,
  hostMeminfo,
  hostValues,
  PLAIN_BOX,
  writeCase,
} from "./synthetic.ts";
import { kb, max, min, minus } from "./worlds.ts";

const MIB = 2n ** 20n;
/** The smallest limit that is shown. */
const PAGE = 4096n;
const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), testName("rooms-")));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A cgroup, bytes; null: no limit. */
interface Level {
  readonly limit: bigint | null;
  /** v2 only. */
  readonly high: bigint | null;
  /** Swap alone. */
  readonly swapLimit: bigint | null;
  /** v2 only. */
  readonly swapHigh: bigint | null;
  readonly usage: bigint;
  readonly swapUsed: bigint;
  readonly files: bigint;
  readonly slab: bigint;
}

interface World {
  readonly version: 1 | 2;
  readonly host: Host;
  /** From the container up. */
  readonly chain: readonly Level[];
}

const HOST: Host = {
  memTotalKb: 4194304n,
  memFreeKb: 1048576n,
  memAvailableKb: 2097152n,
  cachedKb: 1048576n,
  swapTotalKb: 1048576n,
  cpus: 1,
  threadsPerCore: 1,
  packages: 1,
};
const FREE: Level = {
  limit: null,
  high: null,
  swapLimit: null,
  swapHigh: null,
  usage: 0n,
  swapUsed: 0n,
  files: 0n,
  slab: 0n,
};
const BOX: Container = { ...PLAIN_BOX, cpuset: [0], usage: 0n };
const V1_NO_LIMIT = 9223372036854771712n;

function least(values: readonly (bigint | null)[]): bigint | null {
  return values.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
}

/** v1 limits the sum of memory and swap. */
function both({ limit, swapLimit }: Level): bigint | null {
  return swapLimit === null ? null : (limit ?? 0n) + swapLimit;
}

function filesOf({ version, chain }: World, level: Level): Record<string, string> {
  const { limit, high, swapLimit, swapHigh, usage, swapUsed, files, slab } = level;
  if (version === 2) {
    return {
      "memory.max": `${limit ?? "max"}\n`,
      "memory.high": `${high ?? "max"}\n`,
      "memory.swap.max": `${swapLimit ?? "max"}\n`,
      "memory.swap.high": `${swapHigh ?? "max"}\n`,
      "memory.current": `${usage}\n`,
      "memory.swap.current": `${swapUsed}\n`,
      "memory.stat": `file ${files}\ninactive_file ${files}\nslab_reclaimable ${slab}\n`,
    };
  }
  const above = chain.slice(chain.indexOf(level));
  const memory = least(above.map((each) => each.limit)) ?? V1_NO_LIMIT;
  const memsw = least(above.map(both)) ?? V1_NO_LIMIT;
  return {
    "memory.limit_in_bytes": `${limit ?? V1_NO_LIMIT}\n`,
    "memory.memsw.limit_in_bytes": `${both(level) ?? V1_NO_LIMIT}\n`,
    "memory.usage_in_bytes": `${usage}\n`,
    "memory.memsw.usage_in_bytes": `${usage + swapUsed}\n`,
    "memory.stat":
      `hierarchical_memory_limit ${memory}\nhierarchical_memsw_limit ${memsw}\n` +
      `total_cache ${files}\ntotal_inactive_file ${files}\ntotal_swap ${swapUsed}\n`,
  };
}

/** The cgroup of each level, relative to the hierarchy's root. */
function pathsOf(chain: readonly Level[]): string[] {
  return chain.map(
    (_, at) =>
      `/${Array(chain.length - at)
        .fill("c")
        .join("/")}`,
  );
}

function write(world: World): void {
  const { version, host, chain } = world;
  const root = join(dir, "cgroup", version === 2 ? "" : "memory");
  writeCase(dir, host, { ...BOX, version });
  const paths = pathsOf(chain);
  const membership = join(dir, "proc/4711/cgroup");
  const text = readFileSync(membership, "utf8");
  const [own] = paths;
  writeFileSync(
    membership,
    version === 2 ? `0::${own}\n` : text.replace(/:memory:.*/, `:memory:${own}`),
  );
  chain.forEach((level, at) => {
    const directory = join(root, paths[at] ?? "");
    mkdirSync(directory, { recursive: true });
    for (const [name, content] of Object.entries(filesOf(world, level))) {
      writeFileSync(join(directory, name), content);
    }
    if (version === 2) {
      writeFileSync(join(directory, "cgroup.subtree_control"), "memory\n");
    }
  });
}

function read(): (label: string) => bigint {
  const text = renderFixture(dir, "proc/meminfo");
  expect(text).not.toMatch(/-\d|\d{15}/);
  return (label) => BigInt(new RegExp(`^${label}: +(\\d+)`, "m").exec(text)?.[1] ?? -1);
}

function reclaimable({ files, slab }: Level, version: 1 | 2): bigint {
  return files + (version === 2 ? slab : 0n);
}

/** A limit of v1 of memory and swap together, where it is one. */
function sumOf({ version, host }: World, level: Level): bigint | null {
  const sum = both(level);
  const all = (host.memTotalKb + host.swapTotalKb) * 1024n;
  return version === 2 || sum === null || sum >= all ? null : max(sum, PAGE);
}

/** What limits of v1 of memory and swap together leave for swap; null: none is one. */
function swapOfV1({ host, chain }: World): bigint | null {
  const size = host.memTotalKb * 1024n;
  const between = (memory: bigint | null, sum: bigint | null): bigint | null =>
    sum === null || sum >= size + host.swapTotalKb * 1024n
      ? null
      : minus(sum, memory === null ? 0n : min(memory, size));
  const [own = FREE] = chain;
  const all = between(least(chain.map(({ limit }) => limit)), least(chain.map(both)));
  return least([all, between(own.limit, both(own))]);
}

/** SEMANTICS of the room, said again; kB. */
function check(world: World): void {
  const { version, host, chain } = world;
  write(world);
  const value = read();
  const total = host.memTotalKb * 1024n;
  const limited = chain.filter(({ limit }) => limit !== null && limit < total);
  const sums = chain.flatMap((level) => {
    const sum = sumOf(world, level);
    return sum === null ? [] : [kb(minus(sum, level.usage + level.swapUsed))];
  });
  const [own = FREE] = chain;
  const hostAvailable = host.memAvailableKb ?? host.memFreeKb;
  const size = min(host.memTotalKb, kb(least(chain.map(({ limit }) => limit)) ?? total));
  expect(value("MemTotal")).toBe(max(size, 4n));
  const shown = value("MemTotal");

  let available = hostAvailable;
  for (const level of chain) {
    const high = version === 2 ? level.high : null;
    const set = [level.limit, high].filter((each) => each !== null && each < total);
    const ceiling = least(set.map((each) => max(each ?? 0n, PAGE)));
    if (ceiling !== null) {
      const room = minus(ceiling + reclaimable(level, version), level.usage);
      available = min(available, kb(room));
    }
    const sum = sumOf(world, level);
    if (sum !== null) {
      const room = minus(sum + reclaimable(level, version), level.usage + level.swapUsed);
      available = min(available, kb(room));
    }
  }
  available = min(available, shown);
  expect(value("MemAvailable")).toBe(available);

  if (limited.length + sums.length > 0) {
    const rooms = limited.map(({ limit, usage }) => kb(minus(max(limit ?? 0n, PAGE), usage)));
    const used = min(kb(own.usage), shown);
    // What the node's others have cached is free for this one.
    const least = [shown - used, available, ...rooms, ...sums].reduce(min);
    expect(value("MemFree")).toBeLessThanOrEqual(least);
    expect(value("MemFree")).toBeGreaterThanOrEqual(min(least, host.memFreeKb));
    if (hostAvailable >= least && own.files + own.slab === 0n) {
      const cached = (hostValues(host).Buffers ?? 0n) + (host.cachedKb ?? 0n);
      expect(value("MemFree")).toBe(min(least, host.memFreeKb + cached));
    }
  } else {
    expect(value("MemFree")).toBeLessThanOrEqual(hostAvailable);
    expect(value("MemFree")).toBeGreaterThanOrEqual(min(host.memFreeKb, available));
    expect(value("Buffers")).toBe(hostValues(host).Buffers);
  }
  expect(value("MemFree")).toBeLessThanOrEqual(value("MemAvailable"));
  const hostSwap = host.swapTotalKb * 1024n;
  for (const level of version === 2 ? chain : []) {
    for (const ceiling of [level.swapLimit, level.swapHigh]) {
      if (ceiling !== null && ceiling < hostSwap) {
        expect(value("SwapFree")).toBeLessThanOrEqual(kb(minus(ceiling, level.swapUsed)));
      }
    }
  }
  // v1 limits no swap alone: what the container has in memory can be swapped out within the sum.
  for (const level of chain.slice(1)) {
    const sum = sumOf(world, level);
    if (sum !== null) {
      const room = minus(sum, level.usage + level.swapUsed) + own.usage;
      expect(value("SwapFree")).toBeLessThanOrEqual(kb(room));
    }
  }
  expect(value("SwapFree")).toBeLessThanOrEqual(value("SwapTotal"));
  const swap = version === 2 ? least(chain.map(({ swapLimit }) => swapLimit)) : swapOfV1(world);
  expect(value("SwapTotal")).toBe(min(host.swapTotalKb, kb(max(swap ?? hostSwap, own.swapUsed))));
  const unused = ["MemFree", "Buffers", "Cached", "SReclaimable"].map(value);
  expect(unused.reduce((a, b) => a + b, 0n)).toBeLessThanOrEqual(shown);
}

describe("room", () => {
  const amount = fc.oneof(
    { weight: 4, arbitrary: fc.bigInt(0n, 2n ** 20n).map((pages) => pages * 4096n) },
    { weight: 1, arbitrary: fc.constantFrom(0n, 4096n, 2n ** 40n) },
  );
  const limit = fc.option(amount);
  const level: fc.Arbitrary<Level> = fc.record({
    limit,
    high: limit,
    swapLimit: limit,
    swapHigh: limit,
    usage: amount,
    swapUsed: amount,
    files: amount,
    slab: amount,
  });
  const worlds: fc.Arbitrary<World> = fc.record({
    version: fc.constantFrom(1 as const, 2 as const),
    host: fc.constant(HOST),
    chain: fc.array(level, { minLength: 1, maxLength: 8 }),
  });

  it("is the least over all cgroups on the way up", () => {
    fc.assert(fc.property(worlds, check), { numRuns: 100, interruptAfterTimeLimit: 12_000 });
  });

  it.each([1, 2] as const)("of a chain of 60 is the room of the tightest (v%d)", (version) => {
    const chain = Array.from({ length: 60 }, (_, at) => ({
      ...FREE,
      limit: 512n * MIB,
      usage: (at === 41 ? 500n : 100n) * MIB,
      files: 10n * MIB,
    }));
    check({ version, host: HOST, chain });
    expect(read()("MemFree")).toBe(12n * 1024n);
    expect(read()("MemAvailable")).toBe(22n * 1024n);
  });

  const child: Level = { ...FREE, usage: 50n * MIB, files: 20n * MIB };
  it.each<readonly [string, readonly Level[], Readonly<Record<string, bigint>>]>([
    [
      "a sibling has filled the shared parent",
      [child, { ...FREE, limit: 256n * MIB, usage: 250n * MIB, files: 20n * MIB }],
      { MemTotal: 256n, MemFree: 6n, MemAvailable: 26n },
    ],
    [
      "a parent uses more than its limit",
      [
        { ...child, limit: 128n * MIB },
        { ...FREE, limit: 256n * MIB, usage: 300n * MIB },
      ],
      { MemTotal: 128n, MemFree: 0n, MemAvailable: 0n },
    ],
    [
      "memory.high is lower than memory.max",
      [{ ...child, limit: 512n * MIB, high: 100n * MIB }],
      { MemTotal: 512n, MemFree: 70n, MemAvailable: 70n },
    ],
    [
      "memory.high is above memory.max",
      [{ ...child, limit: 128n * MIB, high: 512n * MIB }],
      { MemTotal: 128n, MemFree: 78n, MemAvailable: 98n },
    ],
    [
      "only memory.high is set",
      [{ ...child, high: 100n * MIB }],
      { MemTotal: 4096n, MemFree: 70n, MemAvailable: 70n },
    ],
    [
      "a limit above the host's memory",
      [{ ...child, limit: 8192n * MIB }],
      { MemTotal: 4096n, MemAvailable: 2048n, Buffers: 1024n },
    ],
    [
      "pages of block devices, which are Buffers, are among its files",
      [{ ...FREE, usage: 2048n * MIB, files: 2000n * MIB }],
      { MemTotal: 4096n, MemFree: 1024n, Buffers: 1024n, Cached: 1024n },
    ],
    [
      "a parent's swap is used by a sibling",
      [
        { ...child, limit: 128n * MIB, swapLimit: 256n * MIB },
        { ...FREE, swapLimit: 300n * MIB, swapUsed: 280n * MIB },
      ],
      { SwapTotal: 256n, SwapFree: 20n },
    ],
    [
      "memory.swap.high is lower than memory.swap.max",
      [{ ...child, swapLimit: 256n * MIB, swapHigh: 100n * MIB, swapUsed: 30n * MIB }],
      { SwapTotal: 256n, SwapFree: 70n },
    ],
    [
      "memory.swap.high is above memory.swap.max",
      [{ ...child, swapLimit: 256n * MIB, swapHigh: 300n * MIB, swapUsed: 30n * MIB }],
      { SwapTotal: 256n, SwapFree: 226n },
    ],
    [
      "only memory.swap.high of a parent is set, and a sibling has gone beyond it",
      [child, { ...FREE, swapHigh: 300n * MIB, swapUsed: 310n * MIB }],
      { SwapTotal: 1024n, SwapFree: 0n },
    ],
  ])("%s", (_, chain, expected) => {
    const world: World = { version: 2, host: HOST, chain };
    check(world);
    const value = read();
    const labels = Object.keys(expected);
    expect(Object.fromEntries(labels.map((label) => [label, value(label) / 1024n]))).toEqual(
      expected,
    );
  });

  describe("without a controller of its own", () => {
    const FIGURES = ["MemTotal", "MemFree", "MemAvailable", "Buffers"];

    /** A container whose memory only its parent counts; the figures in MiB. */
    function below(parent: Level): bigint[] {
      const chain = [FREE, parent];
      write({ version: 2, host: HOST, chain });
      const [own = "", above = ""] = pathsOf(chain).map((path) => join(dir, "cgroup", path));
      for (const name of Object.keys(filesOf({ version: 2, host: HOST, chain }, FREE))) {
        rmSync(join(own, name));
      }
      writeFileSync(join(above, "cgroup.subtree_control"), "\n");
      return FIGURES.map(read()).map((figure) => figure / 1024n);
    }
    const used: Level = { ...FREE, usage: 200n * MIB, files: 150n * MIB };

    it("what a parent could give back is free", () => {
      expect(below({ ...used, limit: 256n * MIB })).toEqual([256n, 206n, 206n, 0n]);
    });

    it("what a parent could give back below its memory.high is free", () => {
      expect(below({ ...used, high: 256n * MIB })).toEqual([4096n, 206n, 206n, 0n]);
      // As a part of that, Buffers are no further memory.
      expect(below({ ...used, high: 4095n * MIB })).toEqual([4096n, 2048n, 2048n, 0n]);
    });

    it.each([
      ["memory", { limit: 8192n * MIB }],
      ["memory, as memory.high", { high: 8192n * MIB }],
      ["swap", { swapLimit: 8192n * MIB }],
    ])("a parent's limit above the host's %s leaves the host's lines as they are", (_, limit) => {
      below({ ...used, ...limit });
      expect(renderFixture(dir, "proc/meminfo")).toBe(hostMeminfo(dir));
    });

    describe("but with a parent's limit of swap", () => {
      const NODE = "sys/devices/system/node";
      /** What the host's only node has, kB; half of FilePages is Buffers. */
      const FILES = 12_000n;
      const SWAP_CACHE = 4000n;
      const pages = (kb: bigint) => kb / 4n;
      const vmstat = (files: bigint, swapCache: bigint, dirty: bigint) =>
        `nr_dirty ${dirty}\nnr_file_pages ${files}\nnr_swapcached ${swapCache}\n`;

      function shown(parent: Level): (path: string) => string {
        below(parent);
        const lines = hostMeminfo(dir)
          .replace(/(?<=^Cached: +)\d+/m, `${FILES / 2n - SWAP_CACHE}`)
          .replace(/(?<=^SwapCached: +)\d+/m, `${SWAP_CACHE}`)
          .replace(/(?<=^Buffers: +)\d+/m, `${FILES / 2n}`)
          .replace(/(?<=^Dirty: +)\d+/m, "24");
        writeFileSync(join(dir, "proc/meminfo"), lines);
        const counts = vmstat(pages(FILES), pages(SWAP_CACHE), 6n);
        writeFileSync(join(dir, "proc/vmstat"), `${counts}nr_zspages 7\n`);
        mkdirSync(join(dir, NODE, "node0"), { recursive: true });
        writeFileSync(join(dir, NODE, "online"), "0\n");
        writeFileSync(join(dir, NODE, "node0/cpulist"), "0\n");
        const size = `Node 0 MemTotal:        ${HOST.memTotalKb} kB\n`;
        writeFileSync(join(dir, NODE, "node0/meminfo"), `${size}${nodeLines(FILES, SWAP_CACHE)}`);
        writeFileSync(join(dir, NODE, "node0/vmstat"), counts);
        return (path) => renderFixture(dir, path).replace(size, "");
      }

      const nodeLines = (files: bigint, swapCache: bigint) =>
        `Node 0 SwapCached:     ${String(swapCache).padStart(8)} kB\n` +
        `Node 0 Dirty:                24 kB\nNode 0 FilePages:      ${String(files).padStart(8)} kB\n`;

      it.each([
        ["has nothing of the node's swap cache", { swapLimit: 256n * MIB }, 0n],
        ["has that of the node where the limit is none", { swapLimit: 8192n * MIB }, SWAP_CACHE],
      ])("%s, in any file", (_, limit, swapCache) => {
        const read = shown({ ...used, ...limit });
        const files = FILES - SWAP_CACHE + swapCache;
        const meminfo = read("proc/meminfo");
        expect(meminfo).toMatch(new RegExp(`^SwapCached: +${swapCache} kB$`, "m"));
        expect(meminfo).toMatch(new RegExp(`^Cached: +${FILES / 2n - SWAP_CACHE} kB$`, "m"));
        const counts = vmstat(pages(files), pages(swapCache), 6n);
        expect(read("proc/vmstat").replace(/nr_zspages.*\n/, "")).toBe(counts);
        expect(/^nr_zspages 0$/m.test(read("proc/vmstat"))).toBe(swapCache === 0n);
        expect(read(`${NODE}/node0/vmstat`)).toBe(counts);
        expect(read(`${NODE}/node0/meminfo`)).toBe(nodeLines(files, swapCache));
      });
    });
  });

  it("counts what others have cached as free where there is no limit", () => {
    write({ version: 2, host: HOST, chain: [child] });
    const value = read();
    expect(value("MemAvailable")).toBe(2097152n);
    // A quarter is free, a quarter cached, of which 20 MiB are its own; the kernel has half for more.
    expect(value("MemFree")).toBe(2097152n - 20n * 1024n);
    expect(value("Cached")).toBe(20n * 1024n);
  });

  it("counts what others have cached as free where there is a limit, too", () => {
    // All of the node's memory but 16 MiB is cache: its tools would count it as the container's.
    const full = { ...HOST, memFreeKb: 16n * 1024n, cachedKb: 3145728n, memAvailableKb: 3145728n };
    const own: Level = { ...child, limit: 1024n * MIB };
    write({ version: 2, host: full, chain: [own] });
    expect(read()("MemFree")).toBe(974n * 1024n);
    write({ version: 2, host: { ...full, memAvailableKb: 102400n }, chain: [own] });
    expect(read()("MemFree")).toBe(102400n);
  });

  it.each([
    // Docker's --memory-swap as large as --memory, after others had some of it swapped out.
    [
      "its own",
      [{ ...FREE, limit: 1024n * MIB, swapLimit: 0n, usage: 600n * MIB, swapUsed: 400n * MIB }],
    ],
    [
      "one above it",
      [
        { ...FREE, limit: 512n * MIB },
        { ...FREE, limit: 1024n * MIB, swapLimit: 0n, usage: 600n * MIB, swapUsed: 400n * MIB },
      ],
    ],
  ] as const)("of a limit of v1 for memory and swap is what is left of both: %s", (_, chain) => {
    check({ version: 1, host: HOST, chain });
    expect(read()("MemFree")).toBe(24n * 1024n);
    expect(read()("MemAvailable")).toBe(24n * 1024n);
  });

  /** Of the two nodes that have half of the host each the container may use the first. */
  function allowOneNode(): void {
    const nodes = join(dir, "sys/devices/system/node");
    for (const id of [0, 1]) {
      mkdirSync(join(nodes, `node${id}`), { recursive: true });
      writeFileSync(join(nodes, `node${id}/cpulist`), id === 0 ? "0\n" : "\n");
      const sizes = { MemTotal: HOST.memTotalKb, MemFree: HOST.memFreeKb };
      const lines = Object.entries(sizes).map(
        ([key, all]) => `Node ${id} ${key}: ${all / 2n} kB\n`,
      );
      writeFileSync(join(nodes, `node${id}/meminfo`), lines.join(""));
    }
    writeFileSync(join(nodes, "online"), "0-1\n");
    writeFileSync(join(dir, "cgroup/c/c/cpuset.mems.effective"), "0\n");
  }

  it("is that of a limit that is above the memory nodes allowed, and below the host's memory", () => {
    const parent = { ...FREE, limit: 3072n * MIB, usage: 3000n * MIB, files: 20n * MIB };
    write({ version: 2, host: HOST, chain: [child, parent] });
    allowOneNode();
    const figures = ["MemTotal", "MemFree", "MemAvailable", "Buffers"].map(read());
    expect(figures.map((figure) => figure / 1024n)).toEqual([2048n, 72n, 92n, 0n]);
  });

  const V1_OWN: Level = { ...FREE, limit: 512n * MIB, swapLimit: 256n * MIB };
  it.each<readonly [string, readonly Level[], readonly bigint[]]>([
    [
      "no less for a parent's, whose swap is all in its memory",
      [V1_OWN, { ...FREE, limit: 2048n * MIB, swapLimit: 0n, usage: 1000n * MIB }],
      [256n, 256n],
    ],
    [
      "what the parent's sum has left, and what the container has in memory",
      [
        { ...V1_OWN, usage: 100n * MIB },
        { ...FREE, limit: 2048n * MIB, swapLimit: 0n, usage: 1900n * MIB, swapUsed: 50n * MIB },
      ],
      [256n, 198n],
    ],
    [
      "no more than the parent's sum",
      [
        { ...V1_OWN, swapLimit: 512n * MIB },
        { ...FREE, limit: 768n * MIB, swapLimit: 0n },
      ],
      [256n, 256n],
    ],
    [
      "the parent's without a limit of its own",
      [
        { ...FREE, usage: 100n * MIB, swapUsed: 56n * MIB },
        { ...V1_OWN, usage: 100n * MIB, swapUsed: 56n * MIB },
      ],
      [256n, 200n],
    ],
    [
      "the parent's without a limit of its own, and none where its sum is as large as its memory",
      [FREE, { ...V1_OWN, swapLimit: 0n }],
      [0n, 0n],
    ],
    [
      "what the parent's sum leaves beside a limit of memory alone",
      [
        { ...FREE, limit: 512n * MIB },
        { ...FREE, limit: 1024n * MIB, swapLimit: 128n * MIB },
      ],
      [640n, 640n],
    ],
    [
      "the host's above all that it has",
      [{ ...FREE, limit: 8192n * MIB, swapLimit: 0n }],
      [1024n, 1024n],
    ],
    [
      "the host's below a parent above all that it has",
      [FREE, { ...FREE, limit: 8192n * MIB, swapLimit: 0n }],
      [1024n, 1024n],
    ],
    [
      "what is left beside the host's memory",
      [{ ...FREE, limit: 4608n * MIB, swapLimit: 0n }],
      [512n, 512n],
    ],
    [
      "what is left beside the host's memory below a parent, without a limit of its own",
      [FREE, { ...FREE, limit: 4608n * MIB, swapLimit: 0n, usage: 4096n * MIB }],
      [512n, 512n],
    ],
  ])("of swap of a limit of v1 is %s", (_, chain, expected) => {
    check({ version: 1, host: HOST, chain });
    expect(["SwapTotal", "SwapFree"].map(read()).map((figure) => figure / 1024n)).toEqual(expected);
  });

  it("is less by what has to be reclaimed before that", () => {
    const over = { ...FREE, limit: 1024n * MIB, high: 200n * MIB, usage: 260n * MIB };
    check({ version: 2, host: HOST, chain: [{ ...over, files: 70n * MIB, slab: 30n * MIB }] });
    expect(read()("MemAvailable")).toBe(40n * 1024n);
  });

  it("ignores a cgroup above that has lost its files", () => {
    const parent: Level = { ...FREE, limit: 256n * MIB, usage: 250n * MIB };
    for (const name of ["memory.current", "memory.stat", "memory.max"]) {
      write({ version: 2, host: HOST, chain: [{ ...child, limit: 128n * MIB }, parent] });
      rmSync(join(dir, "cgroup/c", name));
      const value = read();
      expect(value("MemTotal")).toBe(128n * 1024n);
      expect(value("MemFree")).toBe((name === "memory.stat" ? 6n : 78n) * 1024n);
    }
    write({ version: 2, host: HOST, chain: [{ ...child, limit: 128n * MIB }, parent] });
    for (const text of ["", "max\n", "-5\n", "99999999999999999999999\n"]) {
      writeFileSync(join(dir, "cgroup/c/memory.current"), text);
      expect(read()("MemFree")).toBeLessThanOrEqual(78n * 1024n);
    }
  });
});

describe("huge pages", () => {
  const box = join(dir, "cgroup/outer/box");
  const pools = (text: string): Record<string, bigint> =>
    Object.fromEntries(
      [...text.matchAll(/^(HugePages_\w+|Hugetlb): +(\d+)/gm)].map(([, name = "", value = ""]) => [
        name,
        BigInt(value),
      ]),
    );

  /** On each of two nodes: how many there are of a size, and how many of them are free. */
  const NODES = [
    { small: [48, 30], large: [2, 1] },
    { small: [16, 10], large: [0, 0] },
  ] as const;

  /** 64 pages of 2 MiB, of which 40 are free unless `of` says otherwise, and 2 of 1 GiB. */
  function writeHost(
    limits: Readonly<Record<string, string>>,
    of: readonly { small: readonly [number, number]; large: readonly [number, number] }[] = NODES,
  ): void {
    const free = of.reduce((sum, { small }) => sum + small[1], 0);
    writeCase(dir, HOST, { ...BOX, cpuset: [0] });
    const meminfo = join(dir, "proc/meminfo");
    const text = readFileSync(meminfo, "utf8")
      .replace(/^HugePages_Total: +0/m, "HugePages_Total:      64")
      .replace(/^HugePages_Free: +0/m, `HugePages_Free:       ${free}`)
      .replace(/^HugePages_Rsvd: +0/m, "HugePages_Rsvd:        3")
      .replace(/^Hugetlb: .*/m, `Hugetlb:        ${64 * 2048 + 2 * 1048576} kB`);
    writeFileSync(meminfo, text);
    const files: Record<string, string> = {
      "cgroup.controllers": "cpuset cpu io memory pids hugetlb\n",
      ...Object.fromEntries(
        Object.entries(limits).map(([name, limit]) => [`outer/box/${name}`, `${limit}\n`]),
      ),
    };
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(dir, "cgroup", name), content);
    }
    const nodes = join(dir, "sys/devices/system/node");
    mkdirSync(nodes, { recursive: true });
    writeFileSync(join(nodes, "online"), "0-1\n");
    of.forEach(({ small, large }, id) => {
      const node = join(nodes, `node${id}`);
      for (const [size, [pages, free]] of [
        ["2048", small],
        ["1048576", large],
      ] as const) {
        const pool = join(node, `hugepages/hugepages-${size}kB`);
        mkdirSync(pool, { recursive: true });
        writeFileSync(join(pool, "nr_hugepages"), `${pages}\n`);
        writeFileSync(join(pool, "free_hugepages"), `${free}\n`);
        writeFileSync(join(pool, "surplus_hugepages"), "0\n");
      }
      writeFileSync(join(node, "cpulist"), id === 0 ? "0\n" : "\n");
      writeFileSync(join(node, "meminfo"), `Node ${id} MemTotal:       2097152 kB\n`);
    });
  }

  function ofNodes(size: string, name: string): number[] {
    return [0, 1].map((id) =>
      Number(
        renderFixture(
          dir,
          `sys/devices/system/node/node${id}/hugepages/hugepages-${size}kB/${name}`,
        ),
      ),
    );
  }

  it("are the node's where no size is limited", () => {
    writeHost({});
    expect(pools(renderFixture(dir, "proc/meminfo"))).toEqual({
      HugePages_Total: 64n,
      HugePages_Free: 40n,
      HugePages_Rsvd: 3n,
      HugePages_Surp: 0n,
      Hugetlb: 2228224n,
    });
    expect(ofNodes("2048", "nr_hugepages")).toEqual([48, 16]);
    expect(ofNodes("1048576", "free_hugepages")).toEqual([1, 0]);
  });

  it("are limited by size, and every size counts", () => {
    writeHost({
      "hugetlb.2MB.max": String(32n * 2n * MIB),
      "hugetlb.2MB.current": String(4n * 2n * MIB),
      "hugetlb.1GB.max": String(1024n * MIB),
      "hugetlb.1GB.current": "0",
    });
    expect(pools(renderFixture(dir, "proc/meminfo"))).toEqual({
      HugePages_Total: 32n,
      HugePages_Free: 28n,
      HugePages_Rsvd: 0n,
      HugePages_Surp: 0n,
      Hugetlb: 32n * 2048n + 1048576n,
    });
    expect(ofNodes("2048", "nr_hugepages")).toEqual([24, 8]);
    expect(ofNodes("2048", "free_hugepages")).toEqual([21, 7]);
    expect(ofNodes("1048576", "nr_hugepages")).toEqual([1, 0]);
    expect(ofNodes("1048576", "surplus_hugepages")).toEqual([0, 0]);
  });

  it("are not taken for absent where they cannot be read", () => {
    writeHost({ "hugetlb.2MB.max": String(32n * 2n * MIB), "hugetlb.2MB.current": "0" });
    const node = join(dir, "sys/devices/system/node/node1/hugepages");
    for (const name of ["hugepages-2048kB/nr_hugepages", ""]) {
      const path = join(node, name);
      rmSync(path, { recursive: true });
      // ELOOP, which does not say that there is nothing; as EMFILE and ENOMEM do not.
      symlinkSync(basename(path), path);
      expect(() => renderFixture(dir, "proc/meminfo")).toThrow("hugepages");
    }
    rmSync(node);
  });

  it("are not taken for absent for good where their sizes cannot be read at first", () => {
    // Has no limit of them, so that nothing that is shown needs them.
    writeHost({});
    const node = join(dir, "sys/devices/system/node/node1/hugepages");
    rmSync(node, { recursive: true, force: true });
    symlinkSync(basename(node), node);
    expect(() => renderFixture(dir, "proc/meminfo")).toThrow("hugepages");
    rmSync(node);
  });

  it.each([
    ["are what is reserved and not in use", { current: 4n, "rsvd.current": 6n }, 28n, 2n],
    ["are no more than the node has", { current: 4n, "rsvd.current": 26n }, 28n, 3n],
    ["are no more than are free", { current: 31n, "rsvd.current": 40n }, 1n, 1n],
    ["are none where all are in use", { current: 4n, "rsvd.current": 4n }, 28n, 0n],
  ] as const)("of a limit that are reserved %s", (_, figures, free, reserved) => {
    const files = Object.entries({ max: 32n, ...figures }).map(([name, pages]) => [
      `hugetlb.2MB.${name}`,
      String(pages * 2n * MIB),
    ]);
    writeHost(Object.fromEntries(files));
    const found = pools(renderFixture(dir, "proc/meminfo"));
    expect(found).toMatchObject({ HugePages_Free: free, HugePages_Rsvd: reserved });
  });

  it("of the node can be had beside the memory limit, and are in no file left out", () => {
    writeHost({ "memory.max": String(64n * MIB) });
    const text = renderFixture(dir, "proc/meminfo");
    expect(text).toMatch(/^MemTotal: +65536 kB$/m);
    expect(pools(text)).toMatchObject({
      HugePages_Total: 64n,
      HugePages_Free: 40n,
      HugePages_Rsvd: 3n,
      Hugetlb: 2228224n,
    });
    expect(ofNodes("2048", "nr_hugepages")).toEqual([48, 16]);
    // The host allows half of its memory, and of the container's the same share of what is no
    // huge page.
    const share = (65536n * (HOST.memTotalKb / 2n)) / (HOST.memTotalKb - 2228224n);
    expect(text).toMatch(new RegExp(`^CommitLimit: +${share + HOST.swapTotalKb} kB$`, "m"));
  });

  it("of a limit are as many in meminfo as on all nodes, whatever the memory limit", () => {
    writeHost({
      "memory.max": String(16n * MIB),
      "hugetlb.2MB.max": String(32n * 2n * MIB),
      "hugetlb.2MB.current": "0",
    });
    const found = pools(renderFixture(dir, "proc/meminfo"));
    expect(found).toMatchObject({ HugePages_Total: 32n, Hugetlb: 32n * 2048n + 2097152n });
    expect(ofNodes("2048", "nr_hugepages")).toEqual([24, 8]);
  });

  it("are free on no node that has fewer", () => {
    const of = [
      { small: [48, 0], large: [2, 1] },
      { small: [16, 16], large: [0, 0] },
    ] as const;
    writeHost({ "hugetlb.2MB.max": String(32n * 2n * MIB), "hugetlb.2MB.current": "0" }, of);
    expect(ofNodes("2048", "free_hugepages")).toEqual([0, 16]);
    expect(ofNodes("2048", "nr_hugepages")).toEqual([16, 16]);
  });

  it("are no more on a node than it has, also where the limit is for those of nodes that are not allowed", () => {
    const full = [NODES[0], { small: [16, 0], large: [0, 0] }] as const;
    for (const [mems, pages, free, of] of [
      ["1", [0, 16], [0, 10], NODES],
      ["0-1", [24, 8], [21, 7], NODES],
      ["1", [0, 16], [0, 0], full],
    ] as const) {
      const current = String(4n * 2n * MIB);
      writeHost({ "hugetlb.2MB.max": String(32n * 2n * MIB), "hugetlb.2MB.current": current }, of);
      writeFileSync(join(box, "cpuset.mems.effective"), `${mems}\n`);
      expect(ofNodes("2048", "nr_hugepages")).toEqual(pages);
      expect(ofNodes("2048", "free_hugepages")).toEqual(free);
    }
  });

  it("of every size are those of the nodes allowed", () => {
    writeHost({});
    for (const [mems, all] of [
      ["0", 48n * 2048n + 2n * 1048576n],
      ["1", 16n * 2048n],
      ["0-1", 64n * 2048n + 2n * 1048576n],
    ] as const) {
      writeFileSync(join(box, "cpuset.mems.effective"), `${mems}\n`);
      expect(pools(renderFixture(dir, "proc/meminfo"))).toMatchObject({ Hugetlb: all });
    }
  });

  it("of one size limited leave the others as they are", () => {
    writeHost({ "hugetlb.1GB.max": "0", "hugetlb.1GB.current": "0" });
    const found = pools(renderFixture(dir, "proc/meminfo"));
    expect(found).toMatchObject({ HugePages_Total: 64n, HugePages_Free: 40n, Hugetlb: 131072n });
    expect(ofNodes("1048576", "nr_hugepages")).toEqual([0, 0]);
    expect(ofNodes("2048", "nr_hugepages")).toEqual([48, 16]);
    expect(existsSync(box)).toBe(true);
  });
});
