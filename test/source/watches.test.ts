// Which limits are watched (native/source/limit_chain.h).

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Tree, v2Container } from "./tree.js";

/** The files that this process watches. */
function watched(): number {
  const infos = readdirSync("/proc/self/fdinfo").map((fd) => {
    try {
      return readFileSync(join("/proc/self/fdinfo", fd), "utf8");
    } catch {
      // That of the directory.
      return "";
    }
  });
  return infos.join("").split("inotify wd:").length - 1;
}

it.each([
  { depth: 16, isWatched: true },
  { depth: 17, isWatched: false },
])("of cgroups $depth levels deep: $isWatched", ({ depth, isWatched }) => {
  const paths = Array.from({ length: depth }, (_, level) => "/c".repeat(level + 1));
  const leaf = paths.at(-1) ?? "";
  const tree = new Tree({
    ...v2Container(leaf),
    ...Object.fromEntries(paths.map((path) => [`.${path}/memory.max`, "max\n"])),
  });
  tree.write({ [`.${paths[0]}/memory.max`]: "8192\n" });
  const before = watched();
  const source = tree.source(leaf, true);
  expect(source.memory().limitBytes).toBe(8192n);
  const more = watched() - before;
  expect(isWatched ? more >= depth : more === 0).toBe(true);
  // What is not watched is read each time.
  tree.write({ [`.${paths[0]}/memory.max`]: "4096\n" });
  expect(source.memory().limitBytes).toBe(4096n);
});
