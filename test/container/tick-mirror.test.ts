// Mirrored files of sysfs in contract tick, as the kernel asks for them
// (native/fuse/files/tick_mirror_files.cc).

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";
import { TickMirror } from "../support/testing.js";
import { until } from "../support/wait.js";

const NAME = "possible";

interface Mirrored {
  readonly mirror: TickMirror;
  write(text: string): void;
}

function mirrored(tickUs: number): Mirrored {
  const sysfs = temporaryDirectory(testScope(), "sysfs");
  const directory = join(sysfs, "devices/system/node");
  mkdirSync(directory, { recursive: true });
  mkdirSync(join(sysfs, "devices/system/cpu"));
  return {
    mirror: new TickMirror(sysfs, tickUs),
    write: (text) => writeFileSync(join(directory, NAME), text),
  };
}

it("attributes are valid for what is left of the tick in which the text was taken", async () => {
  const TICK_US = 60_000_000;
  const AGE_MS = 5;
  const { mirror, write } = mirrored(TICK_US);
  write("1\n");
  const node = mirror.lookup(NAME);
  const takenMs = performance.now();
  await until("it is older", () => performance.now() - takenMs >= AGE_MS);
  const { bytes, validUs } = mirror.attributes(node);
  expect(bytes).toBe(2);
  expect(validUs).toBeLessThanOrEqual(TICK_US - AGE_MS * 1_000);
  expect(validUs).toBeGreaterThan(0);
});

it("a file that cannot be read any more says why, and no longer what it said before", () => {
  // Each GETATTR finds that the tick is over.
  const { mirror, write } = mirrored(0);
  write("1\n");
  const node = mirror.lookup(NAME);
  mirror.attributes(node);
  expect(mirror.read(node)).toBe("1\n");
  // More than any attribute has.
  write("1".repeat(MIB + 1));
  mirror.attributes(node);
  expect(() => mirror.read(node)).toThrow(expect.objectContaining({ code: "EFBIG" }));
  write("2\n");
  expect(mirror.read(node)).toBe("2\n");
});
