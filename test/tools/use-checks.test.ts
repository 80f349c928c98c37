import { expect, it } from "vitest";
import { Findings } from "../../src/tools/findings.js";
import { checkNodeMemory } from "../../src/tools/host-checks.js";
import { checkUse } from "../../src/tools/use-checks.js";
import { surveyed } from "../metrics/sources.js";

const GIB = 2 ** 30;
const LIMITED = { memoryLimit: 16 * GIB };

type Numbers = Readonly<Record<string, number>>;

/** The findings about a container whose limits leave 14 GiB on a node that is full. */
function found(figures: Numbers, later?: Numbers) {
  const findings = new Findings("web1", "1");
  const memory = { memoryTotal: 16 * GIB, memoryAvailable: GIB / 2, memoryUsage: 2 * GIB };
  const own = new Map(Object.entries({ ...memory, memoryHeadroom: 14 * GIB, ...figures }));
  const container = { ...surveyed("1"), figures: own };
  checkUse(findings, container, later === undefined ? undefined : new Map(Object.entries(later)));
  return findings.list.map(({ level, what, todo }) => [level, what, todo]);
}

it.each([
  ["with a limit", LIMITED],
  ["without a limit", {}],
])("a full node says nothing of a container %s", (_, figures) => {
  expect(found(figures)).toEqual([]);
});

it("memory is short near the limit", () => {
  const text = "97 % of the 16 GiB memory that its limits allow is in use";
  const todo = expect.stringContaining("raise the limit");
  expect(found({ ...LIMITED, memoryHeadroom: GIB / 2, memoryCeiling: 16 * GIB })).toEqual([
    ["warning", text, todo],
  ]);
});

it.each([
  [16 * GIB, /: it sees the limit of an ancestor cgroup, and the usage of everything in it$/],
  [32 * GIB, /: it sees the host's$/],
  [Number.NaN, /: it sees the host's$/],
])("memory that is not accounted is below a limit, or is the host's: %d", (memoryLimit, text) => {
  const figures = { memoryTotal: 16 * GIB, ...(memoryLimit > 0 && { memoryLimit }) };
  const findings = new Findings("web1", "1");
  checkUse(findings, { ...surveyed("1"), figures: new Map(Object.entries(figures)) }, undefined);
  expect(findings.list.map(({ what }) => what)).toEqual([expect.stringMatching(text)]);
});

it("the node's memory is the node's", () => {
  const foundFor = (available: number) => {
    const findings = new Findings("host");
    checkNodeMemory(findings, { total: 64 * GIB, available, arc: 0 });
    return findings.list.map(({ what }) => what);
  };
  expect(foundFor(1.25 * GIB)).toEqual(["98 % of the node's 64 GiB memory is in use"]);
  expect(foundFor(32 * GIB)).toEqual([]);
});

it.each([
  ["a limit", LIMITED, /^raise its memory limit/],
  ["none", {}, /^find what grows .* it has no memory limit$/],
])("a kill where there is %s is no reason to raise another", (_, figures, todo) => {
  const now = Date.now() / 1000;
  expect(found({ ...figures, oomKills: 1, lastOomTime: now - 3600 })).toEqual([
    ["warning", "1 OOM kill, the last 60 min ago", expect.stringMatching(todo)],
  ]);
});

it.each([
  [
    "still",
    { periods: 1020, throttledPeriods: 920 },
    "warning",
    "100 % of the periods during this check",
  ],
  [
    "no more",
    { periods: 1020, throttledPeriods: 900 },
    "info",
    "90 % of all periods since it started, but not now",
  ],
  ["not known", undefined, "info", "90 % of all periods since it started"],
])("throttling is a warning if it lasts: %s", (_, later, level, share) => {
  const throttled = found({ periods: 1000, throttledPeriods: 900 }, later);
  expect(throttled.map(([of, what]) => [of, what])).toEqual([
    [level, `it used up its CPU quota in ${share}`],
  ]);
});
