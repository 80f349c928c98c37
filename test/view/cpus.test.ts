// The container is a machine with room for more CPUs: what its files promise about ids, for arbitrary
// hosts and limits, by the logic of the libraries that read them.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { testName } from "../support/names.js";
import { cpuList } from "../support/procfile.js";
import { listFixture, renderFixture } from "../support/testing.js";
import { type Container, NO_LIMITS, PLAIN_BOX, PLAIN_HOST, writeCase } from "./synthetic.ts";

const CPU = "sys/devices/system/cpu";
const dir = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), testName("cpus-")));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface World {
  readonly possible: readonly number[];
  readonly online: readonly number[];
  /** What the kernel lets the container run on. */
  readonly usable: readonly number[];
  readonly quota: number | null;
  readonly version: 1 | 2;
}

const BOX: Container = { ...PLAIN_BOX, cpuset: [0] };

/** As the kernel prints a set ("%*pbl"). */
function ranges(ids: readonly number[]): string {
  const text: string[] = [];
  for (let from = 0; from < ids.length; ) {
    let to = from;
    while (ids[to + 1] === (ids[to] ?? 0) + 1) {
      to += 1;
    }
    text.push(to === from ? `${ids[from]}` : `${ids[from]}-${ids[to]}`);
    from = to + 1;
  }
  return `${text.join(",")}\n`;
}

function write({ possible, online, usable, quota, version }: World): void {
  rmSync(join(dir, CPU), { recursive: true, force: true });
  const cpu = quota === null ? null : { quotaUs: BigInt(quota), periodUs: 100_000n };
  writeCase(dir, PLAIN_HOST, {
    ...BOX,
    version,
    cpuset: usable,
    limits: [NO_LIMITS, { ...NO_LIMITS, cpu }],
  });
  const files = { possible, present: possible, online };
  for (const [name, ids] of Object.entries(files)) {
    writeFileSync(join(dir, CPU, name), ranges(ids));
  }
  for (const id of possible) {
    const directory = join(dir, CPU, `cpu${id}`);
    mkdirSync(join(directory, "topology"), { recursive: true });
    writeFileSync(join(directory, "online"), online.includes(id) ? "1\n" : "0\n");
    writeFileSync(join(directory, "topology/core_id"), `${id}\n`);
  }
}

function read(name: string): number[] {
  const text = renderFixture(dir, `${CPU}/${name}`);
  const ids = text.trim() === "" ? [] : cpuList(text);
  expect(text).toBe(ranges(ids));
  return ids;
}

function directories(): number[] {
  return listFixture(dir, CPU)
    .flatMap((name) => /^cpu(\d+)$/.exec(name)?.slice(1).map(Number) ?? [])
    .sort((a, b) => a - b);
}

function check(world: World): void {
  write(world);
  const { possible, online, usable, quota } = world;
  const runs = usable.filter((id) => online.includes(id));
  // Where the cpuset has no CPU left the kernel lets tasks run on those of its parent.
  const canRun = runs.length > 0 ? runs : online;
  const count = quota === null ? canRun.length : Math.max(1, Math.ceil(quota / 100_000));
  const shown = canRun.slice(0, count);
  expect(read("online")).toEqual(shown);
  expect(read("present")).toEqual(shown);
  expect(read("possible")).toEqual(possible);
  expect(read("offline")).toEqual(possible.filter((id) => !shown.includes(id)));

  const found = directories();
  const highest = shown.at(-1) ?? 0;
  const bare = [
    ...possible.filter((id) => id < highest),
    ...(shown.length === 1 ? canRun.slice(1, 2) : []),
  ];
  expect(found).toEqual([...new Set([...shown, ...bare])].sort((a, b) => a - b));
  for (const id of found) {
    // htop's way.
    const isOn = renderFixture(dir, `${CPU}/cpu${id}/online`) !== "0\n";
    expect(isOn).toBe(shown.includes(id));
  }

  // glibc to 2.35: the number of directories; Java 8 leaves out its locks where that is 1.
  const counted = found.length;
  expect(counted === 1 && canRun.length > 1).toBe(false);
  // HotSpot with NUMA and libnuma have room for so many CPUs, and index it by the ids shown, which
  // goes wrong on the host itself where its ids have holes.
  expect(highest < counted || possible.indexOf(highest) < highest).toBe(true);
  // From 2.36 on: the size of `possible`; and libbpf, tcmalloc: one more than its last id.
  const configured = read("possible").length;
  const slots = (read("possible").at(-1) ?? 0) + 1;
  expect(configured === 1 && canRun.length > 1).toBe(false);
  for (const id of canRun) {
    expect(id).toBeLessThan(slots);
    // Of a host whose ids have holes the kernel itself promises no more.
    expect(id < configured || slots > configured).toBe(true);
  }
}

describe("CPUs of arbitrary hosts", () => {
  // Hosts whose ids have holes, and those of every day.
  const ids = fc.oneof(
    fc.uniqueArray(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 24 }),
    fc.integer({ min: 1, max: 24 }).map((count) => Array.from({ length: count }, (_, id) => id)),
  );
  const worlds: fc.Arbitrary<World> = ids.chain((all) => {
    const possible = all.toSorted((a, b) => a - b);
    return fc.record({
      possible: fc.constant(possible),
      online: fc.subarray(possible, { minLength: 1 }),
      usable: fc.subarray(possible, { minLength: 1 }),
      quota: fc.option(fc.integer({ min: 1000, max: 600_000 })),
      version: fc.constantFrom(1 as const, 2 as const),
    });
  });

  it("are promised as the host's and shown as the container's", () => {
    fc.assert(fc.property(worlds, check), { numRuns: 60, interruptAfterTimeLimit: 12_000 });
  });

  const sparse = [0, 2, ...Array.from({ length: 64 }, (_, at) => 64 + at)];
  it.each<readonly [string, World]>([
    [
      "sparse ids and a quota of one",
      { possible: sparse, online: sparse, usable: sparse, quota: 100_000, version: 2 },
    ],
    [
      "a cpuset at the end",
      { possible: sparse, online: sparse, usable: [126, 127], quota: 50_000, version: 1 },
    ],
    [
      "a cpuset whose CPUs are all off",
      { possible: [0, 1, 2, 3], online: [0, 1], usable: [2, 3], quota: 100_000, version: 2 },
    ],
    [
      "the shown CPU off, another left",
      { possible: [0, 1, 2], online: [2], usable: [0, 2], quota: 100_000, version: 2 },
    ],
    ["one CPU in all", { possible: [0], online: [0], usable: [0], quota: null, version: 2 }],
  ])("%s", (_, world) => check(world));

  it("go off and come back", () => {
    const world: World = {
      possible: [0, 1, 2, 3],
      online: [0, 1, 2, 3],
      usable: [1, 2],
      quota: 100_000,
      version: 2,
    };
    for (const online of [
      [0, 1, 2, 3],
      [0, 2],
      [0, 3],
      [0, 2, 3],
      [0, 1, 2, 3],
    ]) {
      check({ ...world, online });
    }
  });
});
