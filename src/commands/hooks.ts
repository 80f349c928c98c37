import type { Command } from "commander";
import {
  answersNone,
  CALL_MODES,
  type CallMode,
  type CallPlaces,
  callFiles,
  hasProxmox,
  usersLeftOut,
} from "../attach/call-files.js";
import { helperPath, starterProgram } from "../attach/helper.js";
import {
  checkPlaces,
  HOOK_KINDS,
  type HookFile,
  type HookKind,
  type HookPlaces,
  hookFiles,
  MARK,
} from "../attach/hook-files.js";
import {
  type HookOptions,
  type HookOutcome,
  hooksAreUnwanted,
  installHooks,
  isInUse,
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
import { leavesCallsToKernel } from "../tools/kernel-version.js";
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
  left: "kept: configurations of containers may refer to it; harmless without vprocfs",
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

/** Removing needs no configuration, so one that does not load only causes a warning. */
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

/** Whether a script of our package calls the command, rather than an operator. */
function isCalledByPackage({ env }: Context): boolean {
  return env.DPKG_MAINTSCRIPT_PACKAGE?.startsWith("vprocfs") === true;
}

type Act = (files: readonly HookFile[], options: HookOptions) => HookOutcome[];

function placesOf(mountpoint: string): HookPlaces {
  const starter = starterProgram();
  return {
    helper: helperPath(),
    ...(starter !== undefined && { starter }),
    program: [process.execPath, installed("dist/cli.js")],
    mountpoint,
    settings: settingsFileOf(mountpoint),
  };
}

/** The system calls that runtimes are to hand over, and where. */
function callPlacesOf(config: Config): CallPlaces {
  const names = [
    "sysinfo",
    ...(config.kernelLog === "on" ? ["syslog"] : []),
    ...(config.affinity === "on" ? ["sched_getaffinity"] : []),
  ];
  return { directory: config.callsDirectory, names, mark: MARK };
}

function addCommand(program: Command, name: string, text: readonly string[]): Command {
  const [summary = "", description = ""] = text;
  return program
    .command(name)
    .summary(summary)
    .description(description)
    .option(
      "--dry-run",
      "print what would be done, with the contents of the files if they are short, and change nothing",
    )
    .option(
      "--runtime <LIST>",
      `only for these: ${HOOK_KINDS.join(",")} (default: those that are installed or have hooks of vprocfs)`,
    )
    .option("--root <DIR>", "work below this directory instead of /")
    .option("--json", "print an array of objects");
}

function optionsOf(flags: Flags): HookOptions {
  const dryRun = flags.dryRun === true;
  if (!dryRun) {
    requireRoot();
  }
  return { dryRun, kinds: kindsOf(flags.runtime), root: flags.root ?? "/" };
}

/** Remembers whether an operator wants hooks, unless only some are meant or a package calls the command. */
function rememberWish(context: Context, areWanted: boolean, options: HookOptions): void {
  if (options.dryRun || options.kinds.length > 0 || isCalledByPackage(context)) {
    return;
  }
  try {
    setHooksWanted(areWanted, options.root);
  } catch (error) {
    context.warn?.(
      `the package's next upgrade will not know of this: ${printable(messageOf(error))}`,
    );
  }
}

/** Writes or removes the files, and says what was done to each. */
function act(
  context: Context,
  flags: Flags,
  options: HookOptions,
  { files, by }: { readonly files: readonly HookFile[]; readonly by: Act },
): void {
  const { dryRun } = options;
  const outcomes = by(files, options);
  const lineAt = (one: HookOutcome, at: number): string =>
    lineOf(one, dryRun) + (dryRun ? withContent(one, files[at]?.summary) : "");
  context.print(flags.json === true ? toJson(outcomes) : outcomes.map(lineAt).join("\n"));
  if (outcomes.some(({ state }) => state === "failed" || state === "foreign")) {
    context.exit(ExitStatus.failure);
  }
}

function install(context: Context, command: Command, flags: Flags): void {
  const options = optionsOf(flags);
  const { root } = options;
  const config = servingConfigFor(context, command, { warn: (line) => context.warn?.(line) });
  const places = placesOf(canonicalPath(config.mountpoint));
  checkPlaces(places);
  const mode = callModeOf(flags.sysinfo);
  if (mode !== undefined && !leavesCallsToKernel()) {
    throw new VprocfsError(
      "SYSTEM",
      "--sysinfo needs Linux 5.5: before, system calls that containers hand over would never return",
    );
  }
  const silent = answersNone(config);
  if (mode === "all" && silent !== undefined) {
    throw new VprocfsError(
      "USAGE",
      `--sysinfo all: with ${silent} vprocfs answers no system calls, and no container of LXC or podman would start`,
    );
  }
  if (isCalledByPackage(context) && hooksAreUnwanted(root)) {
    context.warn?.("no hooks are installed, because uninstall-hooks has removed them");
    return;
  }
  // Without --sysinfo the files of an earlier --sysinfo are brought up to date.
  const ofCalls = callFiles({ ...callPlacesOf(config), root }, mode ?? "all").filter(
    (file) => mode !== undefined || isInUse(file, root),
  );
  rememberWish(context, true, options);
  act(context, flags, options, { files: [...hookFiles(places), ...ofCalls], by: installHooks });
  const users = mode === "all" ? usersLeftOut(root) : undefined;
  if (users !== undefined) {
    context.warn?.(
      `with --sysinfo all, rootless podman and LXC of these users start no containers: ${printable(users)}; ` +
        "see docs/reference/sysinfo.md for what they can do",
    );
  }
  if (mode === "all" && hasProxmox(root)) {
    context.warn?.(
      "unprivileged containers of Proxmox hand no system calls over, because Proxmox writes a policy for each; " +
        "see docs/reference/sysinfo.md for what their configuration needs",
    );
  }
}

function uninstall(context: Context, command: Command, flags: Flags): void {
  const options = optionsOf(flags);
  const config = configForRemoval(context, command, (line) => context.warn?.(line));
  const places = placesOf(canonicalPath(config.mountpoint));
  const ofCalls = callFiles(callPlacesOf(config), "all");
  // First, because removing the last file of a directory may remove the directory, which it needs.
  rememberWish(context, false, options);
  act(context, flags, options, { files: [...hookFiles(places), ...ofCalls], by: uninstallHooks });
}

/** `vprocfs install-hooks` and `vprocfs uninstall-hooks` */
export function addHooks(program: Command, context: Context): void {
  const installing = addCommand(program, "install-hooks", [
    "make container runtimes mount the files into new containers",
    "Writes hooks for the installed runtimes, so that containers have the files before their first " +
      "process runs. Never changes files of other programs.",
  ]).option(
    `--sysinfo <${CALL_MODES.join("|")}>`,
    "also let vprocfs answer sysinfo(2) and syslog(2), for containers of your choice or for all " +
      "new ones",
  );
  addConfigFlags(installing, ["mountpoint", "callsDirectory", "affinity"]).action((flags: Flags) =>
    install(context, installing, flags),
  );
  const removing = addCommand(program, "uninstall-hooks", [
    "remove what install-hooks wrote",
    "Removes the hooks. Running containers keep the files: see detach.",
  ]);
  addConfigFlags(removing, ["mountpoint"], ["callsDirectory", "affinity"]).action((flags: Flags) =>
    uninstall(context, removing, flags),
  );
}
