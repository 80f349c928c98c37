// The npm packages that run with vprocfs, and which of their files.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const project = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Their directories, relative to the project. `fail(message)` is called for one that is not here as
 * package-lock.json wants it.
 */
export function runtimePackages(fail) {
  const { packages } = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"));
  return Object.entries(packages)
    .filter(
      ([path, { dev, optional, devOptional }]) => path !== "" && !(dev || optional || devOptional),
    )
    .map(([path, { version: wanted }]) => {
      const file = join(project, path, "package.json");
      const found = existsSync(file) ? manifestOf(path).version : "nothing";
      return found === wanted ? path : fail(`${path} has ${found}, not ${wanted}: run 'npm ci'`);
    });
}

/** package.json of the package in a directory. */
export function manifestOf(path) {
  return JSON.parse(readFileSync(join(project, path, "package.json"), "utf8"));
}

/** Of files of npm packages, those that something needs at run time, or their licence asks for. */
export function isNeeded(path) {
  return (
    /\/licen[cs]e[^/]*$/i.test(path) ||
    !/\.(?:map|d\.[cm]?ts|md|flow)$|\/(?:test|tests|benchmarks|docs|\.github)$/i.test(path)
  );
}

/** Bytes of the needed files of the package in a directory, without packages inside of it. */
export function neededBytes(path) {
  const sum = (at) => {
    if (!isNeeded(at) || at === join(project, path, "node_modules")) {
      return 0;
    }
    const stats = statSync(at);
    return stats.isDirectory()
      ? readdirSync(at).reduce((bytes, name) => bytes + sum(join(at, name)), 0)
      : stats.size;
  };
  return sum(join(project, path));
}
