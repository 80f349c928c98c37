import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePressure } from "../support/testing.js";

const NONE = "avg10=0.00 avg60=0.00 avg300=0.00 total=0";

describe("a pressure file", () => {
  it("is written as it was read", () => {
    const average = fc.integer({ min: 0, max: 10_000 }).map((n) => (n / 100).toFixed(2));
    const total = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const line = fc.tuple(average, average, average, total).map(([a, b, c, sum]) => {
      return `avg10=${a} avg60=${b} avg300=${c} total=${sum}\n`;
    });
    fc.assert(
      fc.property(line, line, fc.boolean(), (some, full, hasFull) => {
        const text = `some ${some}${hasFull ? `full ${full}` : ""}`;
        expect(parsePressure(text)).toBe(text);
      }),
    );
  });

  it.each([
    ["", null],
    ["\n", null],
    ["garbage", null],
    [`some ${NONE}`, `some ${NONE}\n`],
    [`full ${NONE}\n`, `full ${NONE}\n`],
    [`odd ${NONE}\nsome ${NONE}\n`, `some ${NONE}\n`],
    [`some ${NONE} more=1\n`, `some ${NONE}\n`],
    ["some avg10=0.0 avg60=0.00 avg300=0.00 total=0\n", null],
    ["some avg10=0.00 avg60=0.00 avg300=0.00\n", null],
    ["some avg10=x.00 avg60=0.00 avg300=0.00 total=0\n", null],
    ["some avg60=0.00 avg10=0.00 avg300=0.00 total=0\n", null],
    ["some avg10=0.00 avg60=0.00 avg300=0.00 total=-1\n", null],
  ])("%j", (text, expected) => {
    expect(parsePressure(text)).toBe(expected);
  });

  it("survives any text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parsePressure(text)).toBeNull();
        expect(parsePressure(`some ${NONE}\nfull ${text}`)).toMatch(/^some /);
      }),
    );
  });
});
