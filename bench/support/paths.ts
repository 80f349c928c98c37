import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's directory, whether this module runs from bench/ or from where it is compiled to. */
export function projectDirectory(): string {
  const mark = join("bench", "load", "load.cc");
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, mark))) {
    const parent = dirname(directory);
    if (parent === directory) {
      throw new Error(`no ${mark} above ${fileURLToPath(import.meta.url)}`);
    }
    directory = parent;
  }
  return directory;
}

/** Where built programs are kept between runs. */
export function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vprocfs-bench");
}

/** Begins the names of everything that a benchmark makes, so that leftovers can be recognised. */
export const NAME_PREFIX = "vprocfs-bench-";
