import { type Command, Option } from "commander";
import { type ConfigKey, DEFAULT_CONFIG_FILE, defaultOf, kebabOf, notesOf } from "../config.js";

/**
 * Adds flags for configuration keys. Defaults are only named, since the file may change them. Help does not
 * list `former` keys, which the command took once and does nothing with.
 */
export function addConfigFlags(
  command: Command,
  keys: readonly ConfigKey[],
  former: readonly ConfigKey[] = [],
): Command {
  command.option("-c, --config <FILE>", `configuration file (default: ${DEFAULT_CONFIG_FILE})`);
  for (const key of [...keys, ...former]) {
    const { description, placeholder } = notesOf(key);
    const text = `${description} (default: ${defaultOf(key) === "" ? "none" : defaultOf(key)})`;
    const option = new Option(`--${kebabOf(key)} <${placeholder}>`, text);
    command.addOption(option.hideHelp(former.includes(key)));
  }
  return command;
}
