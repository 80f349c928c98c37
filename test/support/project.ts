import { existsSync, readdirSync } from "node:fs";
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

/** A part of the command line in an installation, which is loaded when it is needed: a path relative to that. */
export function partOf(home: string, name: string): string {
  const pattern = new RegExp(`^cli-${name}-[0-9a-f]+\\.js$`);
  const [file, ...more] = readdirSync(join(home, "dist")).filter((entry) => pattern.test(entry));
  if (file === undefined || more.length > 0) {
    throw new Error(`${home}/dist: not one file of cli-${name}`);
  }
  return `dist/${file}`;
}
