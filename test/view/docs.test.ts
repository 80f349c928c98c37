// docs/reference/files.md is made from the descriptions beside the views: they describe what there is.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { runSync } from "../support/command.js";
import { project } from "../support/project.js";

const Description = z.object({ fields: z.array(z.object({ name: z.string() })) });

/** The names that a description explains, one by one. */
function described(view: string): string[] {
  const text = readFileSync(join(project, `native/view/${view}.toml`), "utf8");
  return Description.parse(parse(text)).fields.flatMap(({ name }) => name.split(", "));
}

/** Every line of a file in all recorded cases: its key and whether it says anything. */
function recordedKeys(path: string, pattern: RegExp): Map<string, boolean> {
  const fixtures = join(project, "test/fixtures");
  const keys = new Map<string, boolean>();
  for (const entry of readdirSync(fixtures, { withFileTypes: true })) {
    if (entry.isDirectory()) {
      const text = readFileSync(join(fixtures, entry.name, "expected", path), "utf8");
      for (const [, key = "", figures = ""] of text.matchAll(pattern)) {
        keys.set(key, (keys.get(key) ?? false) || /[1-9]/.test(figures));
      }
    }
  }
  return keys;
}

function matches(name: string, key: string): boolean {
  const pattern = name.replace(/[()]/g, "\\$&").replace("*", ".*").replace(/N$/, "\\d+");
  return new RegExp(`^${pattern}$`).test(key);
}

describe("docs/reference/files.md", () => {
  it("is what would be written now", () => {
    const check = runSync([process.execPath, "docs/generate.mjs", "--check"], { cwd: project });
    expect({ status: check.status, stderr: check.stderr }).toEqual({ status: 0, stderr: "" });
  });

  it.each([
    ["meminfo", /^([^:]+): +(\d+)/gm],
    ["stat", /^(\w+) +(.*)$/gm],
    // Events are those of memory.stat, whatever the kernel has.
    ["vmstat", /^(nr_\w+) (\d+)$/gm],
  ] as const)("every figure of %s has a description of its own", (view, pattern) => {
    const names = described(view).filter((name) => name !== "*" && name !== "nr_*");
    const keys = recordedKeys(`proc/${view}`, pattern);
    expect(keys.size).toBeGreaterThan(5);
    for (const [key, says] of keys) {
      expect({ key, isDescribed: !says || names.some((name) => matches(name, key)) }).toEqual({
        key,
        isDescribed: true,
      });
    }
  });
});
