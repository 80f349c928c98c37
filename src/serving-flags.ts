import { resolve } from "node:path";
import type { ConfigKey } from "./config.js";

/** What of a command line that serves is not simply the value of a key. */
export interface ServingOptions {
  readonly json?: boolean;
  readonly logFormat?: string;
  readonly watch?: boolean;
}

/**
 * The values of keys that the mount point of a command line and its earlier spellings set. `warn` is
 * told of each of these.
 */
export function servingFlags(
  mountpoint: string | undefined,
  { json, logFormat, watch }: ServingOptions,
  warn: (line: string) => void = () => {},
): Partial<Record<ConfigKey, string>> {
  const isUnwatched = watch === false;
  const isJson = json === true && logFormat === undefined;
  if (isUnwatched) {
    warn("option --no-watch is now called '--watch off'");
  }
  if (isJson) {
    warn("option --json is now called '--log-format json'");
  }
  return {
    ...(mountpoint === undefined ? {} : { mountpoint: resolve(mountpoint) }),
    ...(isUnwatched ? { watch: "off" } : {}),
    ...(isJson ? { logFormat: "json" } : {}),
  };
}
