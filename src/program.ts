import { Command, CommanderError } from "commander";
import { addAttach } from "./commands/attach.js";
import { addBench } from "./commands/bench.js";
import { addCheck } from "./commands/check.js";
import type { Context } from "./commands/context.js";
import { addDmesg } from "./commands/dmesg.js";
import { addDoctor } from "./commands/doctor.js";
import { addExplain } from "./commands/explain.js";
import { addHelp, addWholeHelp } from "./commands/help.js";
import { addHooks } from "./commands/hooks.js";
import { addLs } from "./commands/ls.js";
import { addReload } from "./commands/reload.js";
import { addRun } from "./commands/run.js";
import { addShow } from "./commands/show.js";
import { addSleep } from "./commands/sleep.js";
import { addStatus } from "./commands/status.js";
import { addTop } from "./commands/top.js";
import { ExitStatus, messageOf, statusOf, VprocfsError } from "./errors.js";
import { PluginStatus, pluginLine } from "./tools/nagios.js";
import { packageVersion } from "./version.js";

const EXAMPLES = `
Examples:
  vprocfs run                     serve on /var/lib/vprocfs
  vprocfs run /var/lib/lxcfs      serve where LXCFS was
  vprocfs ls                      containers and their limits
  vprocfs show web1 meminfo       the memory that web1 sees
  vprocfs top                     what the containers are doing
  vprocfs explain web1 MemTotal   why web1 sees what it sees
  vprocfs dmesg web1              the kernel log of web1: kills, faults, rejected forks
  vprocfs doctor                  find problems, and how to fix them
  vprocfs show 4711               every file as process 4711 sees it
  vprocfs attach --all            mount the files into every running container
  vprocfs bench --quick           measure reads here, beside LXCFS and the kernel

Every setting of run can also be set in /etc/vprocfs/vprocfs.toml (watch = "off") or in the
environment (VPROCFS_WATCH=off). Flags win over the environment, which wins over the file.`;

/** The whole command line. Errors are thrown, never printed. */
export function createProgram(context: Context): Command {
  const program = new Command("vprocfs")
    .description("Files under /proc that show a container its own limits.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.print(text.replace(/\n$/, "")),
      // Errors come as exceptions and are printed once, by main().
      outputError: () => {},
      writeErr: () => {},
      getOutHelpWidth: () => 100,
    });
  addWholeHelp(program, context.print);
  addHelp(program);
  addRun(program, context);
  addLs(program, context);
  addTop(program, context);
  addExplain(program, context);
  addDmesg(program, context);
  addDoctor(program, context);
  addCheck(program, context);
  addShow(program, context);
  addAttach(program, context);
  addHooks(program, context);
  addSleep(program, context);
  addStatus(program, context);
  addReload(program, context);
  // Its options are its own, --help among them.
  addBench(program, context);
  return program;
}

/** The line that an error prints, without the program's name, and its exit status. */
export function describeError(error: unknown): { readonly line: string; readonly status: number } {
  if (error instanceof CommanderError) {
    const line = messageOf(error).replace(/^error: /, "");
    return { line, status: ExitStatus.usage };
  }
  const line = error instanceof VprocfsError ? error.message : messageOf(error);
  return { line, status: statusOf(error) };
}

/** Runs one command line. `fail` gets the one line that says what went wrong. */
export async function main(
  argv: readonly string[],
  context: Context,
  fail: (line: string) => void,
): Promise<void> {
  const program = createProgram(context);
  const [word = ""] = argv;
  try {
    if (["start", "stop", "restart"].includes(word)) {
      throw new VprocfsError(
        "USAGE",
        `unknown command '${word}': use 'systemctl ${word} vprocfs', or the service manager that runs it`,
      );
    }
    if (argv.length === 0) {
      throw new VprocfsError(
        "USAGE",
        "a command is needed, such as run, ls or show; see vprocfs --help",
      );
    }
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      return;
    }
    const { line, status } = describeError(error);
    if (word === "check") {
      // Monitoring reads stdout, and takes 2 for critical.
      context.print(pluginLine("unknown", line));
      context.exit(PluginStatus.unknown);
      return;
    }
    fail(line);
    context.exit(status);
  }
}
