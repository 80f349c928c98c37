import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The directory of this installation: the one with package.json above the code that runs. */
function root(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let directory = here; ; directory = dirname(directory)) {
    if (existsSync(join(directory, "package.json")) || directory === dirname(directory)) {
      return directory;
    }
  }
}

const ROOT = root();

/** The absolute path of a file of this installation; `path` is relative to package.json. */
export function installed(path: string): string {
  return join(ROOT, path);
}

/** The paths where a native program or addon may be: built here by node-gyp, or shipped beside the code. */
export function nativeCandidates(name: string): readonly string[] {
  return [installed(`build/Release/${name}`), installed(`dist/${name}`)];
}
