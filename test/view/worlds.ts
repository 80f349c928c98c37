/** Arbitrary hosts with one container, and what holds for all of them. */

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll } from "vitest";
import { memoryKeys, renderFixture } from "../support/testing.ts";
import { type Container, disks, type Host, type Io, writeCase } from "./synthetic.ts";

export const root = mkdtempSync(
  join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "vprocfs-view-"),
);
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Looking for a smaller example of a failure ends in time to be told of. */
export const runs = { numRuns: 250, interruptAfterTimeLimit: 12_000 };
export const maxU64 = 2n ** 64n - 1n;
export const kb = (bytes: bigint) => bytes / 1024n;
export const min = (a: bigint, b: bigint) => (a < b ? a : b);
export const max = (a: bigint, b: bigint) => (a > b ? a : b);
export const minus = (a: bigint, b: bigint) => max(a - b, 0n);

const hosts: fc.Arbitrary<Host> = fc
  .record({
    memTotalKb: fc.bigInt(65536n, 2n ** 26n),
    freeShare: fc.bigInt(0n, 100n),
    swapTotalKb: fc.oneof(fc.constant(0n), fc.bigInt(4n, 2n ** 24n)),
    cpus: fc.integer({ min: 1, max: 12 }),
    threadsPerCore: fc.integer({ min: 1, max: 2 }),
    packages: fc.integer({ min: 1, max: 2 }),
  })
  .map(({ freeShare, ...host }) => ({
    ...host,
    memFreeKb: (host.memTotalKb * freeShare) / 100n,
  }));

/** Pages on a host that has some memory, or anything at all. */
const amount = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 2n ** 14n).map((pages) => pages * 4096n) },
  { weight: 3, arbitrary: fc.bigInt(0n, 2n ** 24n).map((pages) => pages * 4096n) },
  { weight: 1, arbitrary: fc.bigInt(0n, maxU64) },
  { weight: 1, arbitrary: fc.constantFrom(0n, maxU64) },
);
/** Limits from 2^62 on are none (native/source/parse.h). */
const limit = fc.option(amount.map((bytes) => min(bytes, 2n ** 61n)));
const bandwidth = fc.option(
  fc.record({ quotaUs: fc.bigInt(1000n, 10n ** 7n), periodUs: fc.bigInt(1000n, 10n ** 6n) }),
);
const limits = fc.record({ memory: limit, swap: limit, cpu: bandwidth });

const statKeys = memoryKeys().map(([key]) => key);
/** Any of the keys: no kernel has all of them. */
const stats = fc
  .array(fc.option(amount, { freq: 8 }), {
    minLength: statKeys.length,
    maxLength: statKeys.length,
  })
  .map((values) => {
    const stat: Record<string, bigint> = {};
    statKeys.forEach((key, i) => {
      const value = values[i];
      if (value !== null && value !== undefined) {
        stat[key] = value;
      }
    });
    return stat;
  });

const cpuTime = fc.oneof(fc.bigInt(0n, 10n ** 9n), fc.bigInt(0n, 2n ** 62n));

/** The host's, and some that were pulled out. */
const devices = [...disks.map(({ device }) => device), "8:16", "253:7"];
const counter = fc.oneof(fc.bigInt(0n, 10n ** 6n), fc.bigInt(0n, 2n ** 60n));
const io: fc.Arbitrary<Io> = fc.record({
  device: fc.constantFrom(...devices),
  readBytes: counter,
  writtenBytes: counter,
  reads: counter,
  writes: counter,
  discards: counter,
  discardedBytes: counter,
});

function containers(host: Host): fc.Arbitrary<Container> {
  const ids = Array.from({ length: host.cpus }, (_, id) => id);
  return fc.record({
    version: fc.constantFrom(1 as const, 2 as const),
    accounted: fc.constant(true),
    limits: fc.tuple(limits, limits),
    cpuset: fc.subarray(ids, { minLength: 1 }),
    usage: amount,
    swapUsed: fc.option(amount),
    swappiness: fc.constantFrom(0, 60),
    stat: stats,
    uptimeUs: fc.integer({ min: 0, max: 10 ** 11 }),
    cpu: fc.record({ user: cpuTime, nice: cpuTime, system: cpuTime }),
    throttledUs: cpuTime,
    io: fc.uniqueArray(io, { selector: ({ device }) => device, maxLength: devices.length }),
    ioLimits: fc.subarray([...devices]),
    events: fc.record({ pgfault: counter, pgmajfault: counter }),
    oomKills: counter,
  });
}

export const worlds = hosts.chain((host) => fc.tuple(fc.constant(host), containers(host)));

/** Lets `check` look at a rendered container. */
export function forAll(
  check: (read: (path: string) => string, host: Host, box: Container) => void,
): void {
  const dir = join(root, "case");
  fc.assert(
    fc.property(worlds, ([host, container]) => {
      writeCase(dir, host, container);
      check((path) => renderFixture(dir, path), host, container);
    }),
    runs,
  );
}
