import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadAddon } from "../../src/native/addon.js";
import { testName } from "../support/names.js";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), testName("addon-")));
});

afterAll(() => rmSync(directory, { recursive: true }));

function addon(name: string, text: string): string[] {
  const path = join(directory, name);
  writeFileSync(path, text);
  return [join(directory, "missing.node"), path];
}

it("says what to do when the addon is missing", () => {
  expect(() => loadAddon([join(directory, "missing.node")])).toThrow(
    "the native addon is not built: run 'npm run build'",
  );
});

it("says so on one line when the addon is broken", () => {
  expect(() => loadAddon(addon("broken.node", "not an ELF file"))).toThrow(
    /^the native addon cannot be loaded \(.*\): run 'npm run build'$/,
  );
});

it("recognises an addon built for another Node", () => {
  const text = "throw new Error('was compiled against\\nNODE_MODULE_VERSION 99')";
  expect(() => loadAddon(addon("other.cjs", text))).toThrow(
    "the native addon was built for another Node: run 'npm run build'",
  );
});

it("recognises an addon with other exports", () => {
  expect(() => loadAddon(addon("old.cjs", "exports.Session = class {}"))).toThrow(
    "another vprocfs version",
  );
});
