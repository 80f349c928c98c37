import { describe, expect, it } from "vitest";
import { writeJson } from "../support/testing.js";

describe("what the native code writes as JSON", () => {
  /** The text as it is read, and as it stands in the document. */
  function written(bytes: Buffer): { read: string; raw: string } {
    const text = writeJson(bytes).whole.toString();
    const {
      list: [read],
      ...others
    } = JSON.parse(text);
    expect(text).toContain('"largest":18446744073709551615');
    expect(others).toEqual({ number: -5, largest: 2 ** 64, empty: [], true: true });
    return { read, raw: text.slice('{"list":['.length, text.indexOf(',""]')) };
  }

  it.each([
    "",
    "plain",
    'a "quoted" \\ word',
    "\0\n\u001f\u007f",
    "\u0080ä\u07ff\u0800€\uffff😀\u{10ffff}",
  ])("%j is read as it was", (text) => {
    expect(written(Buffer.from(text)).read).toBe(text);
  });

  it("control characters are escaped, and characters are not", () => {
    expect(written(Buffer.from('\n"\\\u007fä😀')).raw).toBe('"\\u000a\\"\\\\\\u007fä😀"');
  });

  it.each([
    ["80", "\u0080"],
    ["61ff62", "a\u00ffb"],
    ["c3", "\u00c3"],
    ["c328", "\u00c3("],
    ["c0af", "\u00c0\u00af"],
    ["e08080", "\u00e0\u0080\u0080"],
    ["eda080", "\u00ed\u00a0\u0080"],
    ["f4908080", "\u00f4\u0090\u0080\u0080"],
    ["f8", "\u00f8"],
  ])("bytes that are no UTF-8 are told one by one: %s", (hex, text) => {
    expect(written(Buffer.from(hex, "hex")).read).toBe(text);
  });

  it("what has no room is cut off", () => {
    expect(writeJson(Buffer.from("abcdefgh")).cut.toString()).toBe('{"list":["abcdef');
  });
});
