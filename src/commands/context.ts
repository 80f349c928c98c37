import type { Command } from "commander";
import { CONFIG_KEYS, type Config, type ConfigKey, defaultOf } from "../config.js";
import { type ConfigInputs, configFileOf, loadConfig } from "../config-load.js";
import { readMounts } from "../mountinfo.js";
import { servingPlace } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";
import { isRoot } from "../root.js";
import { shellWord } from "../text.js";
import { containersUnseen } from "../unseen.js";

/** Everything that commands use of the system, so that tests run them without an addon or root. */
export interface Context {
  /** Loads the addon on first use: `--help` works without it. */
  addon(): NativeBinding;
  readonly env: NodeJS.ProcessEnv;
  readonly configFile?: string;
  print(text: string): void;
  /** Prints a warning as one line on stderr. */
  warn?(line: string): void;
  /** Sets the exit status. */
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

/** The configuration for a command. `more.flags` win over the flags of the command line. */
export function configFor(context: Context, command: Command, more: More = {}): Config {
  return loadConfig(inputsFor(context, command, more));
}

/** The path of a command's configuration file, which may not exist. */
export function configFileFor(context: Context, command: Command): string {
  return configFileOf(inputsFor(context, command)).path;
}

/**
 * The configuration for a command that talks to a running vprocfs. If flags, environment and file name no
 * mount point, it is the one where a vprocfs serves.
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

/**
 * The flags of a command line that say which vprocfs is meant, for the commands that it advises: each with a blank
 * before it, as a shell reads them.
 */
export function namingFlags(command: Command): string {
  const { config, mountpoint }: Record<string, unknown> = command.optsWithGlobals();
  const given = Object.entries({ config, mountpoint }).filter(([, value]) => value !== undefined);
  return given.map(([name, value]) => ` --${name} ${shellWord(String(value))}`).join("");
}

/** The configuration from flags and defaults alone, for commands that must work even if the file is wrong. */
export function configByFlags(context: Context, command: Command): Config {
  const { flags } = inputsFor(context, command);
  return loadConfig({ ...(flags !== undefined && { flags }), env: {}, file: "/dev/null" });
}

/** Warns that a list of containers is incomplete, since the operator is not root or vprocfs runs elsewhere. */
export async function warnOfOthers(context: Context, mountpoint: string): Promise<void> {
  const unseen = await containersUnseen(mountpoint);
  if (!isRoot()) {
    context.warn?.("not run as root: containers of others are left out");
  } else if (unseen !== undefined) {
    context.warn?.(unseen.what);
  }
}

/** What a terminal may heed of the characters that JSON.stringify() leaves: names are of containers. */
const FOR_TERMINALS = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, i) => character.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** A value as every `--json` prints it. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(FOR_TERMINALS, escaped);
}
