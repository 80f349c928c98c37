import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { FILES } from "../files.js";
import { launch } from "./launch.js";
import type { Peer } from "./peer.js";

/** The installed LXCFS, with its default options, bound as its own hook does it. */
export const lxcfs: Peer = {
  name: "lxcfs",
  title: "LXCFS",
  unavailable: () =>
    spawnSync("lxcfs", ["--version"]).error === undefined ? undefined : "lxcfs is not installed",
  start: async (context) => {
    const { pid, mountpoint, start } = await launch(context, {
      command: (path) => ["lxcfs", "-f", path],
      probe: FILES.meminfo,
      optional: true,
    });
    return { pid, start, source: async (_container, file) => join(mountpoint, FILES[file]) };
  },
};

/** The version of the installed LXCFS. */
export function lxcfsVersion(): string | undefined {
  const result = spawnSync("lxcfs", ["--version"], { encoding: "utf8" });
  return /(\d+\.\d+\.\d+)/.exec(`${result.stdout}${result.stderr}`)?.[1];
}
