import { rmSync } from "node:fs";
import type { Config } from "../config.js";
import { socketOf } from "../keeper.js";
import { polledMountpointOf } from "../polled.js";
import { replaceFile } from "../replace-file.js";
import { patternsOf } from "./glob.js";
import type { HelperSettings } from "./helper.js";
import { isPassive } from "./selection.js";

/** The part of the configuration that is about one container's files. */
export function helperSettings(config: Config, mountpoint: string): HelperSettings {
  return {
    mountpoint,
    polled: polledMountpointOf(mountpoint),
    fsType: config.fsType,
    source: config.source,
    skipFiles: patternsOf(config.skipFiles),
    replaceLxcfs: config.replaceLxcfs === "on",
    // Restricted services inherit the copies, and only a watcher that visits services unmounts them there.
    copies: config.watch !== "off" && !isPassive(config) && config.nested === "on",
  };
}

/** The settings file of a mount point's daemon, for hooks. */
export function settingsFileOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, ".attach");
}

/** The contents of the settings file, which `read_settings` of native/attach/options.cc reads. */
export function settingsText(config: Config, mountpoint: string): string {
  const settings = helperSettings(config, mountpoint);
  const only = patternsOf(config.attachOnly).map((pattern) => `only ${pattern}`);
  const lines = [
    `mountpoint ${mountpoint}`,
    `type ${settings.fsType}`,
    `source ${settings.source}`,
    ...settings.skipFiles.map((pattern) => `skip ${pattern}`),
    ...patternsOf(config.attachExclude).map((pattern) => `exclude ${pattern}`),
    ...(isPassive(config) ? ["exclude *"] : []),
    // Without an `only` line the helper would serve all containers.
    ...(only.length > 0 ? only : ["exclude *"]),
    // Not "on": after a downgrade an earlier helper, which knows only "yes", may read this file.
    ...(settings.replaceLxcfs ? ["replace-lxcfs yes"] : []),
    ...(settings.copies === false ? ["copies off"] : []),
    "end",
  ];
  return `${lines.join("\n")}\n`;
}

/** Removes the settings. Hooks then use what they were installed with. */
export function removeSettings(mountpoint: string): void {
  rmSync(settingsFileOf(mountpoint), { force: true });
}

/** Writes the settings for hooks. `files` are the lines of Engine.files(). */
export function writeSettings(
  config: Config,
  mountpoint: string,
  files: readonly string[] = [],
): void {
  const before = [`polled ${polledMountpointOf(mountpoint)}`, ...files];
  replaceFile(settingsFileOf(mountpoint), {
    content: `${before.join("\n")}\n${settingsText(config, mountpoint)}`,
    mode: 0o600,
    directoryMode: 0o700,
  });
}
