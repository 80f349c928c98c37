import { readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { outputSync } from "./command.js";
import { isLeftover, testName } from "./names.js";
import type { Scope } from "./scope.js";

/** On a disk: a swap file cannot be on tmpfs. */
const DIRECTORY = "/var/tmp";

function activeNames(): string[] {
  const lines = readFileSync("/proc/swaps", "utf8").split("\n").slice(1);
  return lines.map((line) => line.split(/\s/)[0] ?? "");
}

/** What killed tests have left behind takes room and changes the host's figures. */
function removeLeftovers(): void {
  for (const name of activeNames().filter((path) => isLeftover(basename(path)))) {
    outputSync(["swapoff", name]);
  }
  for (const name of readdirSync(DIRECTORY).filter((entry) => isLeftover(entry))) {
    rmSync(join(DIRECTORY, name), { force: true, recursive: true });
  }
}

/** Gives the host some swap space until the scope ends. */
export function swapOn(scope: Scope, mebibytes: number): string {
  removeLeftovers();
  const path = join(DIRECTORY, testName("swap"));
  scope.defer(() => rmSync(path, { force: true }));
  outputSync(["dd", "if=/dev/zero", `of=${path}`, "bs=1M", `count=${mebibytes}`, "status=none"]);
  outputSync(["chmod", "600", path]);
  outputSync(["mkswap", path]);
  outputSync(["swapon", path]);
  scope.defer(() => outputSync(["swapoff", path]));
  return path;
}
