// What is known of the size that the kernel was told (native/fuse/files/announced_size.h).

import { expect, it } from "vitest";
import { native } from "../support/testing.js";

it("a size that was told in a notice is known", () => {
  const sizes = native.announceSizes([
    ["again", 4096],
    ["mark", 0],
    ["note", 5000],
    ["again", 4096],
  ]);
  expect(sizes).toEqual([4096, 4096, 5000, 5000]);
});

it("no answer makes the size that is known greater: the kernel may have passed over it", () => {
  const sizes = native.announceSizes([
    ["tell", 5000],
    ["again", 4096],
    ["tell", 4000],
    ["tell", 4100],
    ["mark", 0],
    ["note", 4100],
  ]);
  expect(sizes).toEqual([0, 4096, 4000, 4000, 4000, 4100]);
});

it.each(["tell", "again"] as const)(
  "an answer (%s) after a notice that is not noted yet stays the last, also with the size of before",
  (answer) => {
    const sizes = native.announceSizes([
      ["again", 4100],
      ["mark", 0],
      [answer, 4100],
      ["note", 5000],
      ["mark", 0],
      ["note", 5000],
    ]);
    expect(sizes).toEqual([4100, 4100, 4100, 4100, 4100, 5000]);
  },
);

it("texts are dropped with the cgroup files that are closed, and what the kernel has is known on", () => {
  expect(native.closeSources("processor\n")).toEqual([10, 0, 0, 1]);
});
