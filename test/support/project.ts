import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findProject(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, "binding.gyp"))) {
    const parent = dirname(directory);
    if (parent === directory) {
      throw new Error(`no project above ${fileURLToPath(import.meta.url)}`);
    }
    directory = parent;
  }
  return directory;
}

/** The repository's directory, also for modules that were compiled to elsewhere below it. */
export const project = process.env.VPROCFS_TEST_PROJECT ?? findProject();
