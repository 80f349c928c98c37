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

  it("is read from any record on, in any worker", () => {
    const kept = logs();
    const expectAll = () => {
      const all = kept.read(1n, 0n, 10_000);
      const { first = 0, next = 0, texts = [] } = all ?? {};
      expect(texts).toHaveLength(next - first);
      for (let from = 0; from < next + 2; ++from) {
        const found = kept.read(1n, BigInt(from), 10_000)?.texts;
        expect(found).toEqual(texts.slice(Math.max(0, from - first)));
      }
    };
    let host = 0;
    for (let round = 0; round < 4; ++round) {
      for (let i = 0; i < 100; ++i) {
        host += 1;
        kept.add(1n, 1n, BigInt(host), [line(host, `${host} ${"x".repeat((host * 37) % 900)}`)]);
      }
      expectAll();
      kept.takeOver();
      expectAll();
    }
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

  it("has a container's log count for the tenant that it has last", () => {
    const kept = logs(64 * KIB, 16 * KIB);
    kept.begin(1n, 1n);
    kept.begin(2n, 1n);
    expect(kept.begin(3n, 1n)).toBe(false);
    // It starts again in its cgroup, and has another PID namespace.
    kept.begin(1n, 2n);
    expect(kept.takeOver()).toBe(true);
    const begun = [3n, 4n].map((id) => kept.begin(id, 1n));
    expect(begun).toEqual([true, false]);
    expect([5n, 6n].map((id) => kept.begin(id, 2n))).toEqual([true, false]);
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

  it("leaves room for others to begin when some have grown", () => {
    const kept = logs(64 * KIB, 256 * KIB, 256 * KIB);
    for (let host = 1; host <= 1000; ++host) {
      const id = BigInt((host % 4) + 1);
      expect(kept.add(id, id, BigInt(host), [line(host, "x".repeat(500))])).toBe(1);
    }
    expect(kept.figures().bytes).toBeGreaterThan(4 * 8 * KIB);
    expect(kept.figures().bytes).toBeLessThanOrEqual(128 * KIB + 4 * 8 * KIB);
    for (let id = 10n; id < 20n; ++id) {
      expect(kept.begin(id, id)).toBe(true);
    }
    expect(kept.figures().refused).toBe(0);
  });

  it("has room for the beginnings of a thousand", () => {
    const kept = logs();
    for (let id = 1; id <= 1000; ++id) {
      expect(kept.begin(BigInt(id), BigInt(id))).toBe(true);
    }
    expect(kept.figures().bytes).toBeLessThanOrEqual(16 * KIB * KIB);
    expect(kept.figures()).toMatchObject({ size: 1000, refused: 0 });
  });

  it("forgets those that are gone, also for the next worker", () => {
    const kept = logs();
    kept.add(1n, 1n, 1n, [line(1)]);
    kept.add(2n, 2n, 2n, [line(2)]);
    kept.end([1n]);
    kept.forgetEnded();
    expect(kept.takeOver()).toBe(true);
    expect(kept.read(1n, 0n, 9)).toBeNull();
    expect(kept.read(2n, 0n, 9)).not.toBeNull();
    expect(kept.figures()).toMatchObject({ size: 1, bytes: 8 * KIB });
  });
});

/** As syslog(2) gives records of the log whose banner is that of the testing module. */
function old(host: number, text = `line ${host}`): string {
  return `<6>[    0.000000] ${text}\n`;
}

describe("what readers leave in a log", () => {
  it("is where nobody has been in the beginning", () => {
    const kept = logs();
    expect(kept.marks(1n)).toBeNull();
    expect(kept.clear(1n)).toBe(false);
    expect(kept.take(1n, 100)).toBe("");
    expect(kept.begin(1n, 1n)).toBe(true);
    expect(kept.begin(1n, 1n)).toBe(true);
    expect(kept.read(1n, 0n, 9)?.sequences).toHaveLength(BANNER);
    expect(kept.marks(1n)).toEqual({
      cleared: 0,
      taken: 0,
      takenBytes: 0,
      consoleLevel: 7,
      savedLevel: 0,
    });
  });

  it("makes no log where the bounds leave no room", () => {
    const kept = logs(64 * KIB, 8 * KIB);
    expect(kept.begin(1n, 1n)).toBe(true);
    expect(kept.begin(2n, 1n)).toBe(false);
    expect(kept.marks(2n)).toBeNull();
    expect(kept.figures()).toMatchObject({ size: 1, refused: 1 });
  });

  it("takes the room of containers that have ended", () => {
    const kept = logs(64 * KIB, 8 * KIB);
    expect(kept.begin(1n, 1n)).toBe(true);
    kept.end([1n]);
    expect(kept.begin(2n, 1n)).toBe(true);
    expect(kept.marks(1n)).toBeNull();
    expect(kept.figures()).toMatchObject({ size: 1, refused: 0 });
  });

  it("is for all who come while the room is made", () => {
    const kept = logs(64 * KIB, 256 * KIB, 16 * KIB);
    kept.begin(1n, 1n);
    kept.begin(2n, 1n);
    kept.end([1n, 2n]);
    expect(kept.addWhileLooking(3n, 4n, 1n, 1n, [line(1)])).toBe(1);
    expect(kept.figures()).toMatchObject({ size: 2, refused: 0 });
  });

  it("is looked for at once where another tenant has none, and where some was found before", () => {
    const kept = logs(64 * KIB, 8 * KIB);
    kept.begin(1n, 1n);
    expect(kept.begin(2n, 1n)).toBe(false);
    kept.begin(3n, 2n);
    for (const id of [3n, 4n]) {
      kept.end([id]);
      expect(kept.begin(id + 1n, 2n)).toBe(true);
    }
  });

  it("outlives a worker, growing and the loss of records", () => {
    const kept = logs();
    kept.add(1n, 1n, 1n, [line(1), line(2)]);
    kept.clear(1n);
    kept.add(1n, 1n, 3n, [line(3)]);
    kept.take(1n, 10);
    kept.setConsole(1n, 3, 7);
    const marks = { cleared: BANNER + 2, taken: 0, takenBytes: 10, consoleLevel: 3, savedLevel: 7 };
    expect(kept.marks(1n)).toEqual(marks);
    expect(kept.takeOver()).toBe(true);
    expect(kept.marks(1n)).toEqual(marks);
    for (let host = 4; host <= 1000; ++host) {
      kept.add(1n, 1n, BigInt(host), [line(host, "x".repeat(500))]);
    }
    expect(kept.figures().bytes).toBe(64 * KIB);
    expect(kept.takeOver()).toBe(true);
    expect(kept.marks(1n)).toEqual(marks);
  });

  it("is forgotten with the container", () => {
    const kept = logs();
    kept.add(1n, 1n, 1n, [line(1)]);
    kept.clear(1n);
    kept.end([1n]);
    kept.forgetEnded();
    expect(kept.marks(1n)).toBeNull();
    expect(kept.begin(1n, 1n)).toBe(true);
    expect(kept.marks(1n)).toMatchObject({ cleared: 0 });
  });
});

describe("reading destructively", () => {
  /** Without its banner, and with lines from 1 on. */
  function taken(...texts: string[]) {
    const kept = logs();
    kept.begin(1n, 1n);
    kept.take(1n, 64 * KIB);
    kept.add(
      1n,
      1n,
      1n,
      texts.map((text, i) => line(i + 1, text)),
    );
    return kept;
  }

  it("gives whole records, once", () => {
    const kept = taken("one", "two", "three");
    const two = old(1, "one") + old(2, "two");
    expect(kept.unread(1n)).toEqual({
      records: 3,
      bytes: two.length + old(3, "three").length,
    });
    expect(kept.take(1n, two.length + 5)).toBe(two);
    expect(kept.unread(1n)).toEqual({ records: 1, bytes: old(3, "three").length });
    expect(kept.take(1n, 1000)).toBe(old(3, "three"));
    expect(kept.take(1n, 1000)).toBe("");
    expect(kept.unread(1n)).toEqual({ records: 0, bytes: 0 });
    // Of others that read in other ways nothing was taken.
    expect(kept.read(1n, 0n, 100)?.sequences).toHaveLength(BANNER + 3);
  });

  it("gives a record in pieces to a buffer that is smaller", () => {
    const kept = taken("first", "second");
    const all = old(1, "first") + old(2, "second");
    expect(kept.take(1n, 0)).toBe("");
    let read = "";
    for (let n = 0; n < all.length; ++n) {
      expect(kept.unread(1n).bytes).toBe(all.length - n);
      read += kept.take(1n, 1);
    }
    expect(read).toBe(all);
    expect(kept.marks(1n)).toMatchObject({ taken: BANNER + 2, takenBytes: 0 });
  });

  it("goes on with the oldest record where the next one is gone", () => {
    const kept = taken("first");
    kept.take(1n, 7);
    for (let host = 2; host <= 1000; ++host) {
      kept.add(1n, 1n, BigInt(host), [line(host, `${host} ${"x".repeat(500)}`)]);
    }
    const first = (kept.read(1n, 0n, 1)?.first ?? 0) - BANNER + 1;
    expect(kept.take(1n, 30)).toBe(old(first, `${first} ${"x".repeat(500)}`).slice(0, 30));
  });

  it("has the priority and the time before every line of a record", () => {
    const kept = taken("a\nb\n");
    expect(kept.take(1n, 1000)).toBe(old(1, "a") + old(1, "b") + old(1, ""));
  });

  it("gives again what a worker took that died", () => {
    const kept = taken("one", "two", "three");
    const begin = old(1, "one").slice(0, 5);
    expect(kept.take(1n, 5)).toBe(begin);
    expect(kept.takeOver()).toBe(true);
    expect(kept.again(1n)).toBe(begin);
    const rest = old(1, "one").slice(5) + old(2, "two");
    expect(kept.take(1n, rest.length)).toBe(rest);
    expect(kept.again(1n)).toBe(rest);
    // Whatever came after it is the next one's.
    expect(kept.take(1n, 1000)).toBe(old(3, "three"));
    expect(kept.again(1n)).toBe(old(3, "three"));
    expect(kept.take(1n, 1000)).toBe("");
  });
});

describe("listeners", () => {
  it("hear of every log that is added to, until they are taken away", () => {
    const kept = logs();
    kept.listen();
    kept.add(1n, 1n, 1n, [line(1)]);
    kept.add(1n, 1n, 1n, [line(1)]);
    kept.add(2n, 2n, 2n, [line(2), line(3)]);
    expect(kept.unlisten()).toEqual([1n, 2n]);
    kept.add(1n, 1n, 4n, [line(4)]);
    expect(kept.unlisten()).toEqual([]);
  });
});
