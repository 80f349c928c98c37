// The npm packages that vprocfs holds code of.

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

/** The texts of the licence that the package in a directory has. */
export function licencesOf(path) {
  return readdirSync(join(project, path))
    .filter((name) => /^(?:licen[cs]e|copying|notice)\b/i.test(name))
    .sort()
    .map((name) => readFileSync(join(project, path, name), "utf8"));
}

/** Bytes of the package in a directory as npm installs it, without packages inside of it. */
export function installedBytes(path) {
  const sum = (at) => {
    if (at === join(project, path, "node_modules")) {
      return 0;
    }
    const stats = statSync(at);
    return stats.isDirectory()
      ? readdirSync(at).reduce((bytes, name) => bytes + sum(join(at, name)), 0)
      : stats.size;
  };
  return sum(join(project, path));
}
