// Cgroup names hold any byte but newline and slash, and paths may be longer than PATH_MAX.

import { renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { codeOr, Tree, v2Container } from "./tree.js";

describe("names", () => {
  it.each([
    ["blanks", "/a b/ c "],
    ["percent signs", "/%s%n%d/100%"],
    ["colons", "/a:b/::"],
    ["255 bytes", `/${"n".repeat(255)}/${"é".repeat(127)}`],
    ["a backslash", "/a\\x2dscope/\\040"],
    ["the end of a removed one", "/x (deleted)"],
  ])("%s", (_name, path) => {
    const tree = new Tree({ ...v2Container(path), [`.${path}/memory.max`]: "123\n" });
    expect(tree.source(path).memory().limitBytes).toBe(123n);
  });

  it("a path longer than PATH_MAX", () => {
    const half = `/${"p".repeat(200)}`.repeat(15);
    const tree = new Tree({ ...v2Container(half), [`far${half}/memory.max`]: "123\n" });
    const far = join(tree.root, "far");
    const joined = join(tree.root, half, "far");
    renameSync(far, joined);
    try {
      expect(tree.source(`${half}/far${half}`).memory().limitBytes).toBe(123n);
    } finally {
      renameSync(joined, far);
    }
  });

  it.each(["/missing", "/../c", "/c/../c", "/c/."])("%s: ENOENT", (path) => {
    const tree = new Tree(v2Container("/c"));
    expect(codeOr(() => tree.source(path))).toBe("ENOENT");
  });

  it("a removed cgroup is not looked for under a name that another may have", () => {
    const tree = new Tree({ ...v2Container("/c"), "c/memory.max": "123\n" });
    expect(codeOr(() => tree.source("/c (deleted)"))).toBe("ENOENT");
  });

  it("a text that is no /proc/<pid>/cgroup: EINVAL", () => {
    const tree = new Tree(v2Container("/c"));
    for (const text of ["c\n", "0::c\n", "0:/c\n", "\n"]) {
      expect(codeOr(() => tree.sourceIn(text))).toBe("EINVAL");
    }
  });
});
