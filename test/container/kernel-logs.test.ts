// Containers' kernel logs in the memory that outlives a worker.

import { describe, expect, it } from "vitest";
import { native } from "../support/testing.js";

const KIB = 1024;
const BANNER = 4;

function logs(each = 64 * KIB, tenant = 256 * KIB, all = 16 * KIB * KIB) {
  return new native.KernelLogs(each, tenant, all);
}

function line(host: number, text = `line ${host}`) {
  return { host: BigInt(host), text };
}

describe("KernelLogs", () => {
  it("takes nothing until something is written", () => {
    const kept = logs();
    expect(kept.read(1n, 0n, 100)).toBeNull();
    expect(kept.figures()).toMatchObject({ size: 0, bytes: 0 });
  });

  it("begins with a banner and numbers records without a gap", () => {
    const kept = logs();
    expect(kept.add(1n, 1n, 10n, [line(10), line(11)])).toBe(2);
    const page = kept.read(1n, 0n, 100);
    expect(page?.sequences).toEqual([0, 1, 2, 3, 4, 5]);
    expect(page?.texts.slice(BANNER)).toEqual(["line 10", "line 11"]);
    expect(page).toMatchObject({ first: 0, next: 6 });
    expect(kept.read(1n, 5n, 100)?.texts).toEqual(["line 11"]);
    expect(kept.read(1n, 0n, 2)?.sequences).toEqual([0, 1]);
  });

  it("tells a group once, however often it is read again", () => {
    const kept = logs();
    kept.add(1n, 1n, 10n, [line(10), line(12)]);
    expect(kept.add(1n, 1n, 10n, [line(10), line(12)])).toBe(0);
    expect(kept.add(1n, 1n, 10n, [line(10), line(12), line(13)])).toBe(1);
    expect(kept.add(1n, 1n, 9n, [line(9)])).toBe(0);
    // A group that began later may hold lines from before the end of the one before it.
    expect(kept.add(1n, 1n, 11n, [line(11)])).toBe(1);
    expect(kept.read(1n, BigInt(BANNER), 9)?.texts).toEqual([
      "line 10",
      "line 12",
      "line 13",
      "line 11",
    ]);
  });

  it("grows to its size, and then loses its oldest records", () => {
    const kept = logs();
    const text = "x".repeat(500);
    for (let host = 1; host <= 1000; ++host) {
      kept.add(1n, 1n, BigInt(host), [line(host, `${host} ${text}`)]);
    }
    expect(kept.figures().bytes).toBe(64 * KIB);
    const page = kept.read(1n, 0n, 10_000);
    expect(page?.next).toBe(1000 + BANNER);
    expect(page?.first).toBeGreaterThan(800);
    const count = page?.sequences.length ?? 0;
    expect(page?.sequences).toEqual(
      Array.from({ length: count }, (_, i) => (page?.first ?? 0) + i),
    );
    expect(page?.texts.at(-1)).toBe(`1000 ${text}`);
    expect(page?.texts[0]).toBe(`${(page?.first ?? 0) - BANNER + 1} ${text}`);
  });

  it("has the next worker go on with records and numbers", () => {
    const kept = logs();
    for (let host = 1; host <= 300; ++host) {
      kept.add(7n, 7n, BigInt(host), [line(host, "y".repeat(300))]);
    }
    kept.setMark(301n);
    const before = kept.read(7n, 0n, 10_000);
    expect(kept.takeOver()).toBe(true);
    expect(kept.read(7n, 0n, 10_000)).toEqual(before);
    expect(kept.figures()).toMatchObject({ size: 1, mark: 301n });
    expect(kept.add(7n, 7n, 300n, [line(300)])).toBe(0);
    expect(kept.add(7n, 7n, 301n, [line(301)])).toBe(1);
    expect(kept.read(7n, 0n, 10_000)?.next).toBe((before?.next ?? 0) + 1);
  });

  it("cuts off what is longer than a record", () => {
    const kept = logs();
    kept.add(1n, 1n, 1n, [line(1, "z".repeat(5000))]);
    expect(kept.read(1n, BigInt(BANNER), 1)?.texts[0]).toHaveLength(1024);
  });

  it("bounds what a tenant's containers take together, and costs no other anything", () => {
    const kept = logs(64 * KIB, 32 * KIB);
    for (let id = 1; id <= 100; ++id) {
      kept.add(BigInt(id), 1n, BigInt(id), [line(id)]);
    }
    expect(kept.figures()).toMatchObject({ size: 4, bytes: 32 * KIB, refused: 96 });
    expect(kept.add(500n, 2n, 101n, [line(101)])).toBe(1);
  });

  it("bounds what all take together", () => {
    const kept = logs(64 * KIB, 256 * KIB, 64 * KIB);
    for (let id = 1; id <= 100; ++id) {
      kept.add(BigInt(id), BigInt(id), BigInt(id), [line(id)]);
    }
    expect(kept.figures()).toMatchObject({ size: 8, bytes: 64 * KIB });
    // Those that are there go on, with what they have.
    for (let host = 101; host < 400; ++host) {
      expect(kept.add(1n, 1n, BigInt(host), [line(host)])).toBe(1);
    }
    expect(kept.figures().bytes).toBe(64 * KIB);
  });

  it("forgets those that are gone, also for the next worker", () => {
    const kept = logs();
    kept.add(1n, 1n, 1n, [line(1)]);
    kept.add(2n, 2n, 2n, [line(2)]);
    kept.keep([2n]);
    expect(kept.takeOver()).toBe(true);
    expect(kept.read(1n, 0n, 9)).toBeNull();
    expect(kept.read(2n, 0n, 9)).not.toBeNull();
    expect(kept.figures()).toMatchObject({ size: 1, bytes: 8 * KIB });
  });
});
