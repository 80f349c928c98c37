import type { Command } from "commander";
import { CONFIG_KEYS, type Config, type ConfigKey, defaultOf } from "../config.js";
import { type ConfigInputs, configFileOf, loadConfig } from "../config-load.js";
import { readMounts } from "../mountinfo.js";
import { servingPlace } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";
import { isRoot } from "../root.js";

/** What commands take from outside, so that tests can run them without an addon or root. */
export interface Context {
  /** Loads the addon on first use: `--help` works without it. */
  addon(): NativeBinding;
  readonly env: NodeJS.ProcessEnv;
  readonly configFile?: string;
  print(text: string): void;
  /** One line on stderr that is no error. */
  warn?(line: string): void;
  /** Sets the status that the process will end with. */
  exit(status: number): void;
}

type More = Pick<ConfigInputs, "flags" | "warn">;

function inputsFor(context: Context, command: Command, more: More = {}): ConfigInputs {
  const options: Record<string, unknown> = command.optsWithGlobals();
  const flags: Partial<Record<ConfigKey, string>> = {};
  for (const key of CONFIG_KEYS) {
    const value = options[key];
    if (typeof value === "string") {
      flags[key] = value;
    }
  }
  const file = options.config;
  return {
    ...more,
    flags: { ...flags, ...more.flags },
    env: context.env,
    file: typeof file === "string" ? file : undefined,
    ...(context.configFile === undefined ? {} : { defaultFile: context.configFile }),
  };
}

/**
 * The configuration for a command: its flags over environment over file. `more.flags` win over those
 * of the command line.
 */
export function configFor(context: Context, command: Command, more: More = {}): Config {
  return loadConfig(inputsFor(context, command, more));
}

/** The configuration file of a command, which need not be there. */
export function configFileFor(context: Context, command: Command): string {
  return configFileOf(inputsFor(context, command)).path;
}

/**
 * The same for commands that ask a vprocfs that serves: without a mount point in flags, environment
 * and file it is looked for where it may be.
 */
export function servingConfigFor(
  context: Context,
  command: Command,
  more: Pick<ConfigInputs, "warn"> = {},
): Config {
  const config = configFor(context, command, more);
  const isNamed =
    command.optsWithGlobals().mountpoint !== undefined ||
    config.mountpoint !== defaultOf("mountpoint");
  return isNamed ? config : { ...config, mountpoint: servingPlace(readMounts(), config) };
}

/** The configuration by flags and defaults alone, for commands that must work without any other. */
export function configByFlags(context: Context, command: Command): Config {
  const { flags } = inputsFor(context, command);
  return loadConfig({ ...(flags !== undefined && { flags }), env: {}, file: "/dev/null" });
}

/** Says that a list of containers is not all there are. */
export function warnOfOthers(context: Context): void {
  if (!isRoot()) {
    context.warn?.("not run as root: containers of others are left out");
  }
}

/** One JSON document, the form of every `--json`. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
