import { type Command, Option } from "commander";
import { type ConfigKey, DEFAULT_CONFIG_FILE, defaultOf, kebabOf, notesOf } from "../config.js";

/** Adds flags for configuration keys. Defaults are only named, since the file may change them. */
export function addConfigFlags(command: Command, keys: readonly ConfigKey[]): Command {
  command.option("-c, --config <FILE>", `configuration file (default: ${DEFAULT_CONFIG_FILE})`);
  for (const key of keys) {
    const { description, placeholder } = notesOf(key);
    const text = `${description} (default: ${defaultOf(key) === "" ? "none" : defaultOf(key)})`;
    command.addOption(new Option(`--${kebabOf(key)} <${placeholder}>`, text));
  }
  return command;
}
