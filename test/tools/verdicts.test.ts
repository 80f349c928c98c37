import { expect, it } from "vitest";
import type { NativeBinding } from "../../src/native/binding.js";
import { main } from "../../src/program.js";
import { gapsOf, judgeContainer, judgeNode, levelOf } from "../../src/tools/verdicts.js";
import { containersOf, surveyed } from "../metrics/sources.js";
import { collecting, container, fakeBinding, type Outcome } from "../support/fake-binding.js";

const GIB = 2 ** 30;
const LIMITS = { warning: 90, critical: 95, oomSeconds: 3600 };

function judged(figures: Readonly<Record<string, number>>) {
  const called = { label: "web1", shown: "web1" };
  const one = { ...surveyed("1"), figures: new Map(Object.entries(figures)) };
  return judgeContainer(called, one, LIMITS);
}

it.each([
  ["its own use", { usage: 15.5, headroom: 0.5, limit: 16 }, "critical", "web1: memory 97%"],
  ["a sibling's below the same limit", { usage: 1, headroom: 0, limit: 16 }, "critical", "100%"],
  ["less on a full node", { usage: 2, headroom: 14, limit: 16 }, "ok", ""],
  ["use that is mostly cache", { usage: 16, headroom: 14, limit: 16 }, "ok", ""],
  ["no limit on a full node", { usage: 2 }, "ok", ""],
  [
    "memory.high far below a limit",
    { usage: 0.1, headroom: 0.4, ceiling: 0.5, limit: 16 },
    "ok",
    "",
  ],
  ["memory.high without a limit", { usage: 2, headroom: 0 }, "ok", ""],
  ["a limit above the node's memory", { usage: 2, limit: 64 }, "ok", ""],
] as const)("memory is judged by what limits leave: %s", (_, gib, level, text) => {
  const { usage, headroom, limit, ceiling } = {
    ...{ headroom: undefined, limit: undefined, ceiling: 16 },
    ...gib,
  };
  const figures = {
    memoryTotal: 16 * GIB,
    memoryAvailable: GIB / 2,
    memoryUsage: usage * GIB,
    ...(headroom === undefined
      ? {}
      : { memoryHeadroom: headroom * GIB, memoryCeiling: ceiling * GIB }),
    ...(limit === undefined ? {} : { memoryLimit: limit * GIB }),
  };
  const verdict = judged(figures);
  expect(verdict).toMatchObject({ level, text: expect.stringContaining(text) });
  const isJudged = headroom !== undefined && limit !== undefined;
  expect(verdict.values.map(({ label }) => label)).toEqual(isJudged ? ["web1 memory"] : []);
});

it("a full node is judged once", () => {
  const memory = (available: number) => ({ total: 1000, available, arc: 0 });
  expect(judgeNode(memory(40), LIMITS)).toMatchObject({
    level: "critical",
    text: "node: memory 96%",
    values: [{ label: "memory", value: 96 }],
  });
  expect(judgeNode(memory(500), LIMITS)).toMatchObject({ level: "ok", text: "" });
  expect(judgeNode(null, LIMITS)).toEqual({ level: "ok", text: "", values: [] });
});

it("what was not seen is unknown, unless what was seen is not ok", () => {
  const verdict = (level: "ok" | "warning" | "critical") => ({ level, text: "", values: [] });
  const gaps = gapsOf({ ...containersOf([]), leftOut: 472, failed: 1 });
  expect(gaps).toEqual([
    "472 containers left out: too many for one survey, or not enough descriptors or memory",
    "1 container cannot be read",
  ]);
  expect(gapsOf(containersOf([]))).toEqual([]);
  expect(levelOf([verdict("ok")], [])).toBe("ok");
  expect(levelOf([verdict("ok")], gaps)).toBe("unknown");
  expect(levelOf([verdict("ok"), verdict("warning")], gaps)).toBe("warning");
  expect(levelOf([verdict("critical")], gaps)).toBe("critical");
});

/** A node with one container, whose surveys are `survey`. */
function nodeWith(survey: Awaited<ReturnType<InstanceType<NativeBinding["Surveyor"]>["take"]>>) {
  class Surveyor {
    static readonly figures: readonly string[] = [];
    take = () => Promise.resolve(survey);
    readInside = () => Promise.reject(new Error("nobody is asked"));
  }
  return {
    ...fakeBinding([container()]),
    Surveyor,
    scanContainers: () => {
      throw new Error("a file of a cgroup does not answer");
    },
  };
}

it.runIf(process.getuid?.() === 0).each([
  [["web1"], { leftOut: 0 }, "web1: it has ended meanwhile"],
  [["web1"], { leftOut: 472 }, "web1: it is not among those that were checked; 472 containers"],
  [
    [],
    { leftOut: 472 },
    "472 containers left out: too many for one survey, or not enough descriptors or memory",
  ],
  [[], { readsLog: false }, "the kernel's log cannot be read: OOM kills are not dated"],
] as const)("check says what it has not seen: %j, %j", async (words, change, text) => {
  const { containers: _, ...none } = containersOf([]);
  const survey = { ...none, containers: [], figures: new Float64Array(), ...change };
  const outcome: Outcome = { out: "", err: "", status: 0 };
  const args = ["check", ...words, "--mountpoint", "/nonexistent"];
  await main(args, collecting(outcome, nodeWith(survey)), () => {});
  // What it has seen is that nothing is mounted.
  expect(outcome).toMatchObject({ status: 2, out: expect.stringContaining(text) });
});
