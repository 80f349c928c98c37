// Whatever JavaScript passes, the addon throws a TypeError and does not crash.

import { describe, expect, it } from "vitest";
import { Source, unchecked, views } from "../support/testing.js";

const odd: readonly unknown[] = [
  undefined,
  null,
  0,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 40,
  -1n,
  2n ** 64n,
  "",
  "x",
  true,
  Symbol("x"),
  {},
  [],
  [[]],
  [null],
  [{}],
  () => 1,
];

const names = [...unchecked.keys()].filter(
  (name) =>
    ![
      "views",
      "memoryKeys",
      "Source",
      "State",
      "TaskCounter",
      "servesInOthersTurn",
      "answersAfterLeaving",
      "answersToInterrupted",
    ].includes(name),
);

function call(name: string, args: readonly unknown[]): unknown {
  const target = unchecked.get(name);
  if (typeof target !== "function") {
    throw new Error(`${name} is no function`);
  }
  return Reflect.apply(target, undefined, args);
}

/** Calls, and lets only ordinary results and errors pass. */
function survives(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
}

describe.each(names)("%s", (name) => {
  it("without arguments", () => {
    expect(() => call(name, [])).toThrow(TypeError);
  });

  it("with odd ones", () => {
    for (const first of odd) {
      survives(() => call(name, [first]));
      for (const second of odd) {
        survives(() => call(name, [first, second, first, second]));
        survives(() => call(name, ["/nowhere", "proc/meminfo", first, second]));
      }
    }
  });
});

describe("samples", () => {
  const good = {
    uptimeUs: 1n,
    usage: { userUs: 1n, niceUs: 0n, systemUs: 0n, throttledUs: 0n, perCpu: [] },
    shown: [0],
    hostCpuset: [0],
  };

  it.each([
    ["a number for a bigint", { ...good, uptimeUs: 1 }],
    ["no CPU", { ...good, shown: [] }],
    ["an id that no kernel has", { ...good, shown: [65536] }],
    ["a hole", { ...good, hostCpuset: new Array(3) }],
    ["per-CPU garbage", { ...good, usage: { ...good.usage, perCpu: [1] } }],
  ])("%s: TypeError", (_name, sample) => {
    expect(() => call("advanceSamples", [[sample]])).toThrow(TypeError);
  });

  it("lets the errors of a getter through", () => {
    const sample = {
      get uptimeUs(): bigint {
        throw new RangeError("mine");
      },
    };
    expect(() => call("advanceSamples", [[sample]])).toThrow(RangeError);
  });
});

describe("Source", () => {
  it.each(odd.map((value) => [String(value), value]))("constructed with %s", (_name, value) => {
    const construct = () => Reflect.construct(Source, [value, value, value]);
    expect(construct).toThrow(Error);
  });

  it("with somebody else's this", () => {
    const method: unknown = Reflect.get(Source.prototype, "memory");
    if (typeof method !== "function") {
      throw new Error("no method");
    }
    expect(() => Reflect.apply(method, {}, [])).toThrow(Error);
    expect(() => Reflect.apply(method, undefined, [])).toThrow(Error);
  });
});

it("an unknown view: ENOENT with its path", () => {
  expect(() => call("renderFixture", ["/nowhere", "proc/nothing", 1, 0n])).toThrow(
    expect.objectContaining({ code: "ENOENT", path: "proc/nothing" }),
  );
  expect(views().map((view) => view.path)).toContain("proc/meminfo");
});
