import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { activities, type Moment } from "../../src/tools/rates.js";
import { arranged, SORT_KEYS, topTable } from "../../src/tools/top-table.js";
import { surveyed } from "../metrics/sources.js";

const GIB = 2 ** 30;

function container(id: string, name: string, figures: Readonly<Record<string, number>>) {
  return { ...surveyed(id, name), figures: new Map(Object.entries(figures)) };
}

/** Of containers whose names are ids. */
const GIVEN = new Map([["4", "shop\x1b"]]);

function moment(atMs: number, containers: Moment["containers"], requests = 0): Moment {
  const counts = new Map(containers.map(({ id }) => [id, requests] as const));
  return {
    atMs,
    askedMs: atMs,
    epochS: 1_000_000,
    containers,
    requests: counts,
    loads: new Map([["1", 0.5]]),
    givenNames: GIVEN,
  };
}

const BEFORE = moment(1000, [
  container("1", "web1", { cpuUser: 10, cpuSystem: 1, throttled: 5, readBytes: 0 }),
  container("2", "db", { cpuUser: 50, cpuSystem: 5 }),
]);
const NOW = moment(
  3000,
  [
    container("1", "web1", {
      cpuUser: 12,
      cpuSystem: 2,
      throttled: 6,
      memoryTotal: GIB,
      memoryAvailable: GIB / 4,
      memoryLimit: GIB,
      memoryHeadroom: GIB / 4,
      memoryCeiling: GIB,
      memoryUsage: GIB / 2,
      memoryReclaimable: GIB / 8,
      swapUsage: 2 ** 20,
      swapTotal: GIB,
      oomKills: 2,
      lastOomTime: 1_000_000 - 301,
      cpuPressure: 3,
      memoryPressure: 40,
      readBytes: 2048,
    }),
    container("2", "db", { cpuUser: 40, cpuSystem: 5 }),
    container("3", "new", { cpuUser: 1 }),
  ],
  30,
);

describe("activities", () => {
  it("are rates between two moments", () => {
    const [web] = activities(BEFORE, NOW);
    expect(web).toMatchObject({
      cpu: 1.5,
      throttled: 0.5,
      memory: 0.75,
      memoryUsed: 0.375 * GIB,
      oomKills: 2,
      oomAgo: 301,
      pressure: 0.4,
      load: 0.5,
      requests: 15,
      read: 1024,
    });
  });

  it("have the memory that a container without a limit holds itself, on a full node too", () => {
    const full = { memoryTotal: 16 * GIB, memoryAvailable: 0, memoryReclaimable: GIB };
    const of = (memoryUsage: number) => container("1", "web1", { ...full, memoryUsage });
    const found = activities(undefined, moment(0, [of(9 * GIB), of(2 * GIB)]));
    expect(found).toMatchObject([
      { memory: 0.5, memoryUsed: 8 * GIB },
      { memory: 1 / 16, memoryUsed: GIB },
    ]);
  });

  it("are not told for counters that began anew, for newcomers, and at first", () => {
    const [, db, newcomer] = activities(BEFORE, NOW);
    expect(db?.cpu).toBeUndefined();
    expect(db?.memory).toBeUndefined();
    expect(newcomer?.cpu).toBeUndefined();
    expect(activities(undefined, NOW).map(({ cpu }) => cpu)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe("arranged", () => {
  const rows = activities(BEFORE, NOW);
  const names = (order: Parameters<typeof arranged>[1]): string[] =>
    arranged(rows, order).map((row) => row.container.name);

  it("sorts by any column, with what is not told at the end", () => {
    expect(names({ sort: "cpu", reverse: false, filter: "" })).toEqual(["web1", "db", "new"]);
    expect(names({ sort: "name", reverse: false, filter: "" })).toEqual(["db", "new", "web1"]);
    expect(names({ sort: "name", reverse: true, filter: "" })).toEqual(["web1", "new", "db"]);
    for (const sort of SORT_KEYS) {
      expect(names({ sort, reverse: false, filter: "" })).toHaveLength(3);
    }
  });

  it("filters by part of a name, an id or a runtime", () => {
    expect(names({ sort: "cpu", reverse: false, filter: "WEB" })).toEqual(["web1"]);
    expect(names({ sort: "cpu", reverse: false, filter: "lxc" })).toHaveLength(3);
    expect(names({ sort: "cpu", reverse: false, filter: "nothing" })).toEqual([]);
  });

  it("knows a container by the name that people gave it", () => {
    const hash = "d09fb227b161bae425a963b409d5ef8334e923f50dd465038ad6fd434b8850eb";
    const all = activities(
      undefined,
      moment(0, [container("4", hash, {}), container("5", "zoo", {})]),
    );
    const shown = arranged(all, { sort: "name", reverse: false, filter: "" });
    expect(shown.map((one) => one.container.id)).toEqual(["4", "5"]);
    expect(arranged(all, { sort: "name", reverse: false, filter: "shop" })).toHaveLength(1);
    expect(topTable(shown, 80)[1]).toMatch(/^shop\\x1b {2,}/);
  });
});

describe("topTable", () => {
  const rows = activities(BEFORE, NOW);

  it("shows all columns where there is room", () => {
    const [head, first] = topTable(rows, 200);
    expect(head).toMatch(/^NAME +CPU +THROTTLED +MEM +USED +SWAP +PSI +LOAD +OOM +REQ\/S/);
    expect(first).toMatch(/^web1 +150% +50% +75% +384M\/1G +1M\/1G +40% +0\.50 +2 5m +15 +1K/);
  });

  it.each([40, 60, 80, 120])("fits into %d columns", (width) => {
    const long = rows.map((row) => ({
      ...row,
      container: { ...row.container, name: `${row.container.name}-${"x".repeat(60)}` },
    }));
    for (const line of topTable(long, width)) {
      expect([...line].length).toBeLessThanOrEqual(width);
    }
  });

  it.each([["日本語のコンテナ".repeat(4)], ["\u{1f427}".repeat(30)], ["gro\u0308\u00dfe"]])(
    "gives %s the room that a terminal does",
    (name) => {
      const wide = rows.map((row) => ({ ...row, container: { ...row.container, name } }));
      const [head = "", ...lines] = topTable(wide, 80);
      for (const line of lines) {
        expect(stringWidth(line)).toBeLessThanOrEqual(80);
        // CPU is the second column, and ends where its head does.
        const end = head.indexOf("CPU") + 3;
        const cells = line.split(/ {2,}/);
        const start = line.slice(0, line.indexOf(cells[1] ?? "", (cells[0] ?? "").length));
        expect(stringWidth(start) + (cells[1] ?? "").length).toBe(end);
      }
    },
  );

  it("of thousands of containers takes no time to speak of", () => {
    const [first] = rows;
    const many = Array.from({ length: 8000 }, () => first).filter((row) => row !== undefined);
    expect(topTable(many, 200)).toHaveLength(8001);
  });

  it("has the important columns in 80", () => {
    const [head] = topTable(rows, 80);
    expect(head).toMatch(/NAME.*CPU.*THROTTLED.*MEM.*USED.*OOM/);
  });

  it("prints no control characters of a name", () => {
    const odd = rows.map((row) => ({
      ...row,
      container: { ...row.container, name: "a\u001b[31m\nb" },
    }));
    const lines = topTable(odd, 200);
    expect(lines).toHaveLength(1 + odd.length);
    expect(lines.join("")).not.toContain("\u001b");
  });
});
