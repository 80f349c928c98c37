import { rmSync } from "node:fs";
import { join } from "node:path";
import { outputSync, runSync } from "./command.js";
import { testName } from "./names.js";
import type { Scope } from "./scope.js";

/** On a disk: a swap file cannot be on tmpfs. */
const DIRECTORY = "/var/tmp";

/** Gives the host some swap space until the scope ends. */
export function swapOn(scope: Scope, mebibytes: number): string {
  const path = join(DIRECTORY, testName("swap"));
  scope.defer(() => rmSync(path, { force: true }));
  if (runSync(["fallocate", "--length", `${mebibytes}MiB`, path]).status !== 0) {
    outputSync(["dd", "if=/dev/zero", `of=${path}`, "bs=1M", `count=${mebibytes}`, "status=none"]);
  }
  outputSync(["chmod", "600", path]);
  outputSync(["mkswap", path]);
  outputSync(["swapon", path]);
  scope.defer(() => outputSync(["swapoff", path]));
  return path;
}
