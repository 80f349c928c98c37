import { resolve } from "node:path";
import type { ConfigKey } from "./config.js";

/** Options of `run` that are not values of configuration keys. */
interface ServingOptions {
  readonly json?: boolean;
  readonly logFormat?: string;
  readonly watch?: boolean;
}

/**
 * The values of configuration keys that the argument MOUNTPOINT and the former options --json and --no-watch
 * set. `warn` gets a line for each former option.
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
