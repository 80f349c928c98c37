// Two lengths of help: `--help` lists what most people need, `--help-all` every option.

import { type Command, CommanderError, Help, type Option } from "commander";

const WIDTH = 100;

/** The help of a command with every option that is not hidden. */
function wholeHelp(command: Command): string {
  const help = Object.assign(new Help(), command.configureHelp());
  help.prepareContext({ helpWidth: WIDTH });
  return help.formatHelp(command, help);
}

function printAndEnd(commands: readonly Command[], print: (text: string) => void): never {
  print(commands.map((command) => wholeHelp(command).trimEnd()).join("\n\n"));
  throw new CommanderError(0, "commander.help", "(outputHelp)");
}

/** Gives a command `--help-all`, and has its `--help` list only the options in `common`. */
export function shortenHelp(
  command: Command,
  common: readonly string[],
  print: (text: string) => void,
): void {
  const shown = new Set([...common, "help", "help-all"].map((name) => `--${name}`));
  class ShortHelp extends Help {
    #isFormatting = false;
    override formatHelp(of: Command, help: Help): string {
      this.#isFormatting = true;
      return super.formatHelp(of, help);
    }
    // Commander also calls this to suggest a name for a misspelt option, and then all options count.
    override visibleOptions(of: Command): Option[] {
      const all = super.visibleOptions(of);
      return this.#isFormatting ? all.filter(({ long }) => shown.has(long ?? "")) : all;
    }
  }
  command.createHelp = () => Object.assign(new ShortHelp(), command.configureHelp());
  command.option("--help-all", "print this help with every option");
  command.on("option:help-all", () => printAndEnd([command], print));
}

/** `vprocfs help [COMMAND]` prints what `vprocfs [COMMAND] --help` prints. */
export function addHelp(program: Command): void {
  program
    .command("help", { hidden: true })
    .argument("[COMMAND]")
    .action(async (name: string | undefined) => {
      const isKnown = program.commands.some((command) => command.name() === name);
      const words = name === undefined ? [] : [name];
      // An unknown command is an error; with --help it would print the general help.
      const help = name === undefined || isKnown ? ["--help"] : [];
      await program.parseAsync([...words, ...help], { from: "user" });
    });
}

/** Gives the program itself `--help-all`: the help of every command, with every option. */
export function addWholeHelp(program: Command, print: (text: string) => void): void {
  program.option("--help-all", "print the help of all commands with every option");
  program.on("option:help-all", () => {
    // Without hidden commands and bench, which prints its own help.
    const documented = program.createHelp().visibleCommands(program);
    const own = documented.filter((command) => command.options.length > 0);
    printAndEnd([program, ...own], print);
  });
}
