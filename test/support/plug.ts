// A container whose cgroups nobody can look into.

import { writeFileSync } from "node:fs";
import type { Container } from "./container.js";
import { temporaryDirectory } from "./daemon.js";
import { follow } from "./follow.js";
import { fuseAborter } from "./fuse-connections.js";
import { program } from "./programs.js";
import type { Scope } from "./scope.js";
import { until } from "./wait.js";

/** As a container's own use of memory would have it, in time: who looks for a name has to look it up. */
export function forgetNames(): void {
  writeFileSync("/proc/sys/vm/drop_caches", "2");
}

/** Has all wait who look into cgroups, by a program in a container. Returns what ends that. */
export async function plug(
  scope: Scope,
  by: Container,
  directories: readonly string[],
): Promise<() => void> {
  const abort = await fuseAborter(scope);
  const argv = [program("plug"), temporaryDirectory(scope, "plug"), ...directories];
  const plugging = follow(scope, by, argv);
  const connection = await until("it has a connection", () => /^(\d+)\n/.exec(plugging.text)?.[1]);
  const end = (): void => abort(connection);
  scope.defer(end);
  await until("the cgroups are plugged", () => plugging.text.endsWith("plugged\n"));
  return end;
}
