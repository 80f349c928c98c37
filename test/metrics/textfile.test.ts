// What vprocfs-textfile leaves for node_exporter.

import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { run } from "../support/command.js";
import { testName } from "../support/names.js";
import { project } from "../support/project.js";

const SCRIPT = join(project, "packaging/monitoring/vprocfs-textfile");

/** The files that there are afterwards, where curl is this script. */
async function filesAfter(curl: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), testName("textfile-")));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [bin, target] = [join(directory, "bin"), join(directory, "target")];
  mkdirSync(bin);
  mkdirSync(target);
  writeFileSync(join(bin, "curl"), `#!/bin/sh\n${curl}\n`);
  chmodSync(join(bin, "curl"), 0o755);
  await run([SCRIPT, target], { env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } });
  return readdirSync(target);
}

it("leaves the metrics and nothing else", async () => {
  expect(await filesAfter("echo vprocfs_containers 1")).toEqual(["vprocfs.prom"]);
});

it.each([
  ["curl fails", "echo vprocfs_containers 1; exit 7"],
  ["there is nothing of vprocfs", "echo nodejs_version 1"],
  ["a signal ends it", "echo vprocfs_containers 1; kill -TERM $PPID"],
])("leaves nothing if %s", async (_, curl) => {
  expect(await filesAfter(curl)).toEqual([]);
});
