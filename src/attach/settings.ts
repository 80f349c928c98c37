import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../config.js";
import { socketOf } from "../keeper.js";
import { polledMountpointOf } from "../polled.js";
import { patternsOf } from "./glob.js";
import type { HelperSettings } from "./helper.js";

/** The part of the configuration that is about one container's files. */
export function helperSettings(config: Config, mountpoint: string): HelperSettings {
  return {
    mountpoint,
    polled: polledMountpointOf(mountpoint),
    fsType: config.fsType,
    source: config.source,
    skipFiles: patternsOf(config.skipFiles),
    replaceLxcfs: config.replaceLxcfs === "on",
  };
}

/** Where hooks find what the daemon of a mount point is configured to do. */
export function settingsFileOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".attach");
}

/** What the settings file holds; `read_settings` of native/attach/options.cc reads it. */
export function settingsText(config: Config, mountpoint: string): string {
  const settings = helperSettings(config, mountpoint);
  const lines = [
    `mountpoint ${mountpoint}`,
    `type ${settings.fsType}`,
    `source ${settings.source}`,
    ...settings.skipFiles.map((pattern) => `skip ${pattern}`),
    ...patternsOf(config.attachExclude).map((pattern) => `exclude ${pattern}`),
    ...patternsOf(config.attachOnly).map((pattern) => `only ${pattern}`),
    ...(settings.replaceLxcfs ? ["replace-lxcfs yes"] : []),
    "end",
  ];
  return `${lines.join("\n")}\n`;
}

/** Hooks then go by what they were installed with. */
export function removeSettings(mountpoint: string): void {
  rmSync(settingsFileOf(mountpoint), { force: true });
}

/**
 * Writes the settings for hooks, with the files of the tree as Engine.files() has them. Hooks see the
 * old settings or the new ones, never a part.
 */
export function writeSettings(
  config: Config,
  mountpoint: string,
  files: readonly string[] = [],
): void {
  const path = settingsFileOf(mountpoint);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const before = [`polled ${polledMountpointOf(mountpoint)}`, ...files];
  try {
    writeFileSync(`${path}.new`, `${before.join("\n")}\n${settingsText(config, mountpoint)}`, {
      mode: 0o600,
    });
    renameSync(`${path}.new`, path);
  } catch (error) {
    // A full file system leaves a part of it.
    rmSync(`${path}.new`, { force: true });
    throw error;
  }
}
