import type { Command } from "commander";
import { CALL_MODES, type CallMode, callFiles } from "../attach/call-files.js";
import { helperPath, starterProgram } from "../attach/helper.js";
import {
  checkPlaces,
  HOOK_KINDS,
  type HookFile,
  type HookKind,
  type HookOptions,
  type HookOutcome,
  type HookPlaces,
  hookFiles,
  hooksAreUnwanted,
  installHooks,
  isInUse,
  MARK,
  setHooksWanted,
  uninstallHooks,
} from "../attach/hooks.js";
import { settingsFileOf } from "../attach/settings.js";
import type { Config } from "../config.js";
import { ExitStatus, messageOf, VprocfsError } from "../errors.js";
import { installed } from "../layout.js";
import { canonicalPath } from "../mountpoint.js";
import { requireRoot } from "../root.js";
import { printable } from "../text.js";
import { type Context, configByFlags, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

interface Flags {
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly runtime?: string;
  readonly root?: string;
  readonly sysinfo?: string;
}

function callModeOf(word: string | undefined): CallMode | undefined {
  const mode = CALL_MODES.find((known) => known === word);
  if (word !== undefined && mode === undefined) {
    throw new VprocfsError("USAGE", `--sysinfo takes ${CALL_MODES.join(" or ")}, not '${word}'`);
  }
  return mode;
}

function kindsOf(list: string | undefined): HookKind[] {
  return (list ?? "")
    .split(",")
    .filter((word) => word !== "")
    .map((word) => {
      const kind = HOOK_KINDS.find((known) => known === word);
      if (kind === undefined) {
        throw new VprocfsError("USAGE", `no hooks for '${word}': ${HOOK_KINDS.join(", ")}`);
      }
      return kind;
    });
}

const WORDS: Readonly<Record<HookOutcome["state"], string>> = {
  written: "written",
  updated: "updated",
  unchanged: "up to date",
  removed: "removed",
  absent: "not present",
  left: "kept: configurations of containers may refer to it; it does nothing without vprocfs",
  foreign: "belongs to another program, not touched",
  "not needed": "not needed here",
  failed: "failed",
};

function lineOf({ kind, path, state, reason }: HookOutcome, dryRun: boolean): string {
  const changes = state === "written" || state === "updated" || state === "removed";
  const word = dryRun && changes ? `would be ${WORDS[state]}` : WORDS[state];
  return `${kind}: ${path}: ${word}${reason === undefined ? "" : `: ${reason}`}`;
}

function withContent(outcome: HookOutcome, summary: string | undefined): string {
  const isNew = outcome.state === "written" || outcome.state === "updated";
  const shown = summary ?? outcome.content;
  return isNew ? `\n${shown.replaceAll(/^(?=.)/gm, "    ").trimEnd()}` : "";
}

/** What is removed depends on no configuration, so one that does not load only leads to a warning. */
function configForRemoval(
  context: Context,
  command: Command,
  warn: (line: string) => void,
): Config {
  try {
    return servingConfigFor(context, command, { warn });
  } catch (error) {
    if (!(error instanceof VprocfsError && error.code === "CONFIG")) {
      throw error;
    }
    const config = configByFlags(context, command);
    warn(`${error.message}; continuing with defaults`);
    return config;
  }
}

/** Whether a package of ours calls the command from one of its scripts, and no operator by hand. */
function isCalledByPackage({ env }: Context): boolean {
  return env.DPKG_MAINTSCRIPT_PACKAGE?.startsWith("vprocfs") === true;
}

type Act = (files: readonly HookFile[], options: HookOptions) => HookOutcome[];

function add(program: Command, context: Context, name: string, act: Act, text: readonly string[]) {
  const [summary = "", description = ""] = text;
  const command = program
    .command(name)
    .summary(summary)
    .description(description)
    .option(
      "--dry-run",
      "print what would be done, with the contents of the files if they are short, and change nothing",
    )
    .option(
      "--runtime <LIST>",
      `only for these: ${HOOK_KINDS.join(",")} (default: those that are installed)`,
    )
    .option("--root <DIR>", "work below this directory instead of /")
    .option("--json", "print an array of objects");
  if (act === installHooks) {
    command.option(
      `--sysinfo <${CALL_MODES.join("|")}>`,
      "also let vprocfs answer sysinfo(2) and syslog(2), for containers of your choice or for all " +
        "new ones",
    );
  }
  addConfigFlags(command, ["mountpoint", "callsDirectory", "affinity"]).action((flags: Flags) => {
    const dryRun = flags.dryRun === true;
    if (!dryRun) {
      requireRoot();
    }
    const warn = (line: string): void => context.warn?.(line);
    const config =
      act === uninstallHooks
        ? configForRemoval(context, command, warn)
        : servingConfigFor(context, command, { warn });
    const mountpoint = canonicalPath(config.mountpoint);
    const root = flags.root ?? "/";
    const byPackage = isCalledByPackage(context);
    const mode = callModeOf(flags.sysinfo);
    const starter = starterProgram();
    const places: HookPlaces = {
      helper: helperPath(),
      ...(starter !== undefined && { starter }),
      program: [process.execPath, installed("dist/cli.js")],
      mountpoint,
      settings: settingsFileOf(mountpoint),
    };
    if (act === installHooks) {
      checkPlaces(places);
    }
    const calls = {
      directory: config.callsDirectory,
      names: [
        "sysinfo",
        ...(config.kernelLog === "on" ? ["syslog"] : []),
        ...(config.affinity === "on" ? ["sched_getaffinity"] : []),
      ],
      mark: MARK,
      ...(act === installHooks && { root }),
    };
    // What is removed is all that there may be; what was asked for earlier is kept up to date.
    const ofCalls = callFiles(calls, mode ?? "all").filter(
      (file) => act === uninstallHooks || mode !== undefined || isInUse(file, root),
    );
    const kinds = kindsOf(flags.runtime);
    if (act === installHooks && byPackage && hooksAreUnwanted(root)) {
      warn("no hooks are installed, since uninstall-hooks has removed them");
      return;
    }
    if (!dryRun && !byPackage && kinds.length === 0) {
      // First: it keeps its directory.
      try {
        setHooksWanted(act === installHooks, root);
      } catch (error) {
        warn(`the package's next upgrade will not know of this: ${printable(messageOf(error))}`);
      }
    }
    const files = [...hookFiles(places), ...ofCalls];
    const outcomes = act(files, { dryRun, kinds, root });
    if (flags.json === true) {
      context.print(toJson(outcomes));
    } else {
      const lines = outcomes.map(
        (one, at) => lineOf(one, dryRun) + (dryRun ? withContent(one, files[at]?.summary) : ""),
      );
      context.print(lines.join("\n"));
    }
    if (outcomes.some(({ state }) => state === "failed" || state === "foreign")) {
      context.exit(ExitStatus.failure);
    }
  });
}

/** `vprocfs install-hooks` and `vprocfs uninstall-hooks` */
export function addHooks(program: Command, context: Context): void {
  add(program, context, "install-hooks", installHooks, [
    "make container runtimes mount the files into new containers",
    "Writes hooks for the installed runtimes, so that containers have the files before their first " +
      "process runs. Never changes files of other programs.",
  ]);
  add(program, context, "uninstall-hooks", uninstallHooks, [
    "remove what install-hooks wrote",
    "Removes the hooks. Running containers keep the files: see detach.",
  ]);
}
