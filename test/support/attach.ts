// The attach helper, and what of it is seen in a container.

import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HelperReport, helperPath, starterProgram } from "../../src/attach/helper.js";
import { hookFiles, STARTER } from "../../src/attach/hook-files.js";
import { installHooks } from "../../src/attach/hooks.js";
import { settingsFileOf } from "../../src/attach/settings.js";
import { type Mount, parseMountinfo } from "../../src/mountinfo.js";
import { polledMountpointOf } from "../../src/polled.js";
import { type Outcome, outputOf, type RunOptions, run } from "./command.js";
import { type Daemon, SYSFS, temporaryDirectory, VIEWS } from "./daemon.js";
import { TEST_PREFIX } from "./names.js";
import type { Scope } from "./scope.js";

export { helperPath };

/** Runs the helper for a process, with the tree of a daemon; `under`: by a program that becomes the helper. */
export function attach(
  { mountpoint }: Pick<Daemon, "mountpoint">,
  pid: number,
  flags: readonly string[] = [],
  { under = [], ...options }: RunOptions & { readonly under?: readonly string[] } = {},
): Promise<Outcome> {
  const places = ["--mountpoint", mountpoint, "--polled", polledMountpointOf(mountpoint)];
  return run([...under, helperPath(), ...places, ...flags, `${pid}`], options);
}

/** The same for its report; throws unless it printed one. */
export async function report(
  daemon: Pick<Daemon, "mountpoint">,
  pid: number,
  flags: readonly string[] = [],
  under: readonly string[] = [],
): Promise<HelperReport> {
  const outcome = await attach(daemon, pid, ["--json", ...flags], { under });
  return JSON.parse(outputOf(["vprocfs-attach"], outcome));
}

/** The states of all files in a report, each once. */
export function statesOf({ files }: HelperReport): string[] {
  return [...new Set(files.map(({ state }) => state))].sort();
}

/** The mounts in a process's mount namespace. */
export function mountsOf(pid: number): Mount[] {
  return parseMountinfo(readFileSync(join("/proc", `${pid}`, "mountinfo"), "utf8"));
}

/** What tests that run at the same time mount for themselves is in new containers as well. */
const OF_TESTS = join(tmpdir(), TEST_PREFIX);

/** Ours in a container: the places where a daemon's files are mounted, of whatever daemon. */
export function filesOf(pid: number): string[] {
  return mountsOf(pid)
    .filter(({ source, root }) => source === "vprocfs" && root !== "/")
    .map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => !mountpoint.startsWith(OF_TESTS))
    .sort();
}

/** Where they belong. */
export const PLACES = [
  ...VIEWS.filter((view) => view.startsWith("proc/")),
  ...SYSFS,
  "dev/kmsg",
  "proc/kmsg",
]
  .map((path) => `/${path}`)
  .sort();

/** install-hooks below a directory of its own; paths of what it has written. */
export function installedHooks(
  scope: Scope,
  mountpoint: string,
  helper = helperPath(),
): { lxc: string; oci: string } {
  const root = temporaryDirectory(scope, "hooks");
  const starter = starterProgram();
  const files = hookFiles({
    helper,
    ...(starter !== undefined && { starter }),
    program: ["/usr/bin/vprocfs"],
    mountpoint,
    settings: settingsFileOf(mountpoint),
  });
  const written = installHooks(files, { dryRun: false, kinds: ["lxc", "oci"], root });
  const [lxc = "", oci = ""] = written
    .map(({ path }) => join(root, path))
    .filter((path) => !path.endsWith(STARTER));
  writeFileSync(oci, readFileSync(oci, "utf8").replaceAll(STARTER, join(root, STARTER)));
  return { lxc, oci };
}
