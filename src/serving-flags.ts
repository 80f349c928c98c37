import { resolve } from "node:path";
import type { ConfigKey } from "./config.js";

/** What of a command line that serves is not simply the value of a key. */
export interface ServingOptions {
  readonly json?: boolean;
  readonly logFormat?: string;
  readonly watch?: boolean;
}

/** The values of keys that the mount point of a command line and its short forms set. */
export function servingFlags(
  mountpoint: string | undefined,
  { json, logFormat, watch }: ServingOptions,
): Partial<Record<ConfigKey, string>> {
  return {
    ...(mountpoint === undefined ? {} : { mountpoint: resolve(mountpoint) }),
    ...(watch === false ? { watch: "off" } : {}),
    ...(json === true && logFormat === undefined ? { logFormat: "json" } : {}),
  };
}
