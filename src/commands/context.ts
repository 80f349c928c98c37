import type { Command } from "commander";
import { CONFIG_KEYS, type Config, type ConfigKey, defaultOf, loadConfig } from "../config.js";
import { readMounts } from "../mountinfo.js";
import { servingPlace } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";

/** What commands take from outside, so that tests can run them without an addon or root. */
export interface Context {
  /** Loads the addon on first use: `--help` works without it. */
  addon(): NativeBinding;
  readonly env: NodeJS.ProcessEnv;
  readonly configFile?: string;
  print(text: string): void;
  /** Sets the status that the process will end with. */
  exit(status: number): void;
}

/** The configuration for a command: its flags over environment over file. */
export function configFor(context: Context, command: Command): Config {
  const options: Record<string, unknown> = command.optsWithGlobals();
  const flags: Partial<Record<ConfigKey, string>> = {};
  for (const key of CONFIG_KEYS) {
    const value = options[key];
    if (typeof value === "string") {
      flags[key] = value;
    }
  }
  const file = options.config;
  return loadConfig({
    flags,
    env: context.env,
    file: typeof file === "string" ? file : undefined,
    ...(context.configFile === undefined ? {} : { defaultFile: context.configFile }),
  });
}

/**
 * The same for commands that ask a vprocfs that serves: without a mount point in flags, environment
 * and file it is looked for where it may be.
 */
export function servingConfigFor(context: Context, command: Command): Config {
  const config = configFor(context, command);
  const isNamed =
    command.optsWithGlobals().mountpoint !== undefined ||
    config.mountpoint !== defaultOf("mountpoint");
  return isNamed ? config : { ...config, mountpoint: servingPlace(readMounts(), config) };
}

/** One JSON document, the form of every `--json`. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
