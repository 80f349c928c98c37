// Programs of Debian packages that are not installed: unpacked once, and run from there.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { haveProgram, run } from "./command.js";

/** The packages' files in a directory of the cache; undefined where Debian's are not to be had. */
export async function unpacked(
  name: string,
  packages: readonly string[],
): Promise<string | undefined> {
  const tools = join(homedir(), ".cache/vprocfs/tools");
  const directory = join(tools, name);
  if (existsSync(directory)) {
    return directory;
  }
  if (!haveProgram("apt-get") || !haveProgram("dpkg-deb")) {
    return undefined;
  }
  const unfinished = `${directory}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const got = await run(["apt-get", "download", "-q", ...packages], { cwd: unfinished });
    if (got.status !== 0) {
      return undefined;
    }
    for (const file of readdirSync(unfinished).filter((one) => one.endsWith(".deb"))) {
      const path = join(unfinished, file);
      if ((await run(["dpkg-deb", "-x", path, unfinished])).status !== 0) {
        return undefined;
      }
      rmSync(path);
    }
    renameSync(unfinished, directory);
    return directory;
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
