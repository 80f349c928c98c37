import { type Command, Option } from "commander";
import { type ConfigKey, DEFAULT_CONFIG_FILE, defaultOf, kebabOf, notesOf } from "../config.js";

/**
 * Adds flags for configuration keys. Commander gets no default values, because the configuration file may set
 * others; help texts name the defaults. `hidden` keys are accepted because earlier versions had them, and are
 * in no help text.
 */
export function addConfigFlags(
  command: Command,
  keys: readonly ConfigKey[],
  hidden: readonly ConfigKey[] = [],
): Command {
  command.option("-c, --config <FILE>", `configuration file (default: ${DEFAULT_CONFIG_FILE})`);
  for (const key of [...keys, ...hidden]) {
    const { description, placeholder } = notesOf(key);
    const text = `${description} (default: ${defaultOf(key) === "" ? "none" : defaultOf(key)})`;
    const option = new Option(`--${kebabOf(key)} <${placeholder}>`, text);
    command.addOption(option.hideHelp(hidden.includes(key)));
  }
  return command;
}
