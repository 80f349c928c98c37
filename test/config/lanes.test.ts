// Which lane of `npm test` a file of tests is in.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ASIDE, ASIDE_ONCE, FIRST } from "../lanes/files.js";
import { project } from "../support/project.js";

it("files of lanes are there, each once", () => {
  const all = [...FIRST, ...ASIDE, ...ASIDE_ONCE];
  expect(all.filter((file) => !existsSync(join(project, file)))).toEqual([]);
  expect(new Set(all).size).toBe(all.length);
});

it("no daemon of what runs beside others has a watcher, which would take out dead files of theirs", () => {
  const textOf = (file: string): string => readFileSync(join(project, file), "utf8");
  const watches = (text: string): boolean => /"--watch",\s*(?!\s|"off")/.test(text);
  const aside = [...ASIDE, ...ASIDE_ONCE];
  expect(aside.filter((file) => watches(textOf(file)))).toEqual([]);
  // It is looked for as tests write it.
  expect(watches(textOf("test/e2e/watcher.test.ts"))).toBe(true);
  expect(watches('own,\n  "--watch",\n  "on",')).toBe(true);
  expect(watches('own,\n  "--watch",\n  "off",')).toBe(false);
  expect(watches('own, "--watch", mode')).toBe(true);
});
