// Every view of every recorded container against test/fixtures/<case>/expected/<path>. With
// UPDATE_GOLDEN=1 the files are written anew; read the difference before you keep it.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { testName } from "../support/names.js";
import { renderFixture, viewsOf } from "../support/testing.ts";

const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const update = process.env.UPDATE_GOLDEN === "1";

const cases = readdirSync(fixtures)
  .filter((name) => existsSync(join(fixtures, name, "proc/meminfo")))
  .sort();

/** Files of the recorded sysfs that every container has, as the host has them or otherwise. */
function mirrored(caseDir: string, paths: readonly string[]): string[] {
  return ["sys/devices/system/cpu", "sys/devices/system/node"]
    .filter((root) => existsSync(join(caseDir, root)))
    .flatMap((root) =>
      readdirSync(join(caseDir, root), { recursive: true, withFileTypes: true, encoding: "utf8" })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(caseDir.length + 1)),
    )
    .filter((path) => !paths.includes(path))
    .sort();
}

it("finds the recorded cases", () => {
  expect(cases.length).toBeGreaterThan(0);
});

/** Nothing where the kernel accounts no pressure for the container, which is said with an errno. */
function rendered(caseDir: string, path: string): string | undefined {
  try {
    return renderFixture(caseDir, path);
  } catch (error) {
    if (errnoOf(error) === "EOPNOTSUPP") {
      return undefined;
    }
    throw error;
  }
}

describe.each(cases)("%s", (name) => {
  const caseDir = join(fixtures, name);
  const expected = join(caseDir, "expected");
  const paths = viewsOf(caseDir);

  it.each([...paths, ...mirrored(caseDir, paths)])("%s", (path) => {
    const file = join(expected, path);
    const text = rendered(caseDir, path);
    if (text === undefined) {
      expect(existsSync(file)).toBe(false);
      return;
    }
    if (update) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    expect(existsSync(file), `${file} is missing: write it with UPDATE_GOLDEN=1`).toBe(true);
    expect(text).toBe(readFileSync(file, "utf8"));
  });

  it("has its meminfo in the host's columns", () => {
    const host = readFileSync(join(caseDir, "proc/meminfo"), "utf8").split("\n");
    const own = renderFixture(caseDir, "proc/meminfo").split("\n");
    const shape = (line: string) => /^(.*:)( *)(\d+)( kB)?$/.exec(line)?.slice(1) ?? [line];
    own.forEach((line, i) => {
      const [label = "", blanks = "", digits = "", unit] = shape(line);
      const [hostLabel = "", hostBlanks = "", hostDigits = "", hostUnit] = shape(host[i] ?? "");
      expect([label, unit]).toEqual([hostLabel, hostUnit]);
      expect(blanks.length + digits.length, line).toBe(hostBlanks.length + hostDigits.length);
    });
    expect(own).toHaveLength(host.length);
  });

  it("has the same meminfo in whatever order the host has its lines", () => {
    const root = mkdtempSync(join(tmpdir(), testName("order-")));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    for (const part of ["container.json", "proc"]) {
      cpSync(join(caseDir, part), join(root, part), { recursive: true });
    }
    for (const part of ["sys", "cgroup"]) {
      symlinkSync(join(caseDir, part), join(root, part));
    }
    const host = readFileSync(join(caseDir, "proc/meminfo"), "utf8").trimEnd().split("\n");
    const own = renderFixture(caseDir, "proc/meminfo").trimEnd().split("\n");
    for (const turn of [1, 7, 20]) {
      const turned = (lines: string[]) => [...lines.slice(turn), ...lines.slice(0, turn)].reverse();
      writeFileSync(join(root, "proc/meminfo"), `${turned(host).join("\n")}\n`);
      expect(renderFixture(root, "proc/meminfo").trimEnd().split("\n")).toEqual(turned(own));
    }
  });

  it("expects nothing of views that are no more", () => {
    const found = existsSync(expected)
      ? readdirSync(expected, { recursive: true, withFileTypes: true, encoding: "utf8" })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(expected.length + 1))
      : [];
    const known = [...paths, ...mirrored(caseDir, paths)];
    expect(found.filter((path) => !known.includes(path))).toEqual([]);
  });
});
