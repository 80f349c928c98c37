import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { replaceFile } from "../replace-file.js";

/** What hooks are installed for. */
export const HOOK_KINDS = ["lxc", "oci", "nspawn"] as const;
export type HookKind = (typeof HOOK_KINDS)[number];

/** In every file of ours, so that it is known again; no file without it is ever written or removed. */
export const MARK = "managed by vprocfs install-hooks";

/** Left by an operator who wants no hooks: the package installs none while it is there. */
const NO_HOOKS = "/etc/vprocfs/no-hooks";

export interface HookPlaces {
  /** The helper, as an absolute path. */
  readonly helper: string;
  /** The program that starts it (native/hook), a byte for each character; without it a shell does. */
  readonly starter?: string;
  /** The command line's own program and its arguments, for hooks that call it. */
  readonly program: readonly string[];
  readonly mountpoint: string;
  /** Where a running daemon writes its settings. */
  readonly settings: string;
}

export interface HookFile {
  readonly kind: HookKind;
  readonly path: string;
  /** Without this directory the runtime is not installed. */
  readonly needs: string;
  readonly content: string;
  /** What it consists of, where that is too much to be shown. */
  readonly summary?: string;
  /** Directories above it that go when they are empty, from below. */
  readonly owns: readonly string[];
  /** It can be run, and is no text: a byte for each character of `content`. */
  readonly isProgram?: boolean;
  /** It is not removed: what it is for may be named where nobody looks. */
  readonly stays?: boolean;
  /** LXC's configurations may include it, and LXC starts no container whose include is missing. */
  readonly isIncluded?: boolean;
  /** Why it cannot be written where it is needed. */
  readonly problem?: string;
}

const LXC_DIRECTORY = "/usr/share/lxc/config/common.conf.d";

function helperArguments(places: HookPlaces, hook: "lxc" | "oci"): string[] {
  const { mountpoint, settings } = places;
  // The settings win over the mount point, when they are there.
  return ["--mountpoint", mountpoint, "--settings", settings, "--hook", hook];
}

/** For a shell: a helper that is no longer there must not keep containers from starting. */
function failOpen(places: HookPlaces, hook: "lxc" | "oci"): string {
  const { helper } = places;
  return `test ! -x ${helper} || exec ${[helper, ...helperArguments(places, hook)].join(" ")}`;
}

function lxcFile(places: HookPlaces): HookFile {
  // LXC has a shell run it, with "exec " before it: which then takes another stdin, and goes on.
  const command = `</dev/null; ${failOpen(places, "lxc")}`;
  return {
    kind: "lxc",
    path: `${LXC_DIRECTORY}/20-vprocfs.conf`,
    needs: LXC_DIRECTORY,
    owns: [],
    isIncluded: true,
    content: [
      `# ${MARK}: shows every container that includes common.conf its own figures in /proc.`,
      "# Configurations that do not include it (the busybox template's) can include this file:",
      `#   lxc.include = ${LXC_DIRECTORY}/20-vprocfs.conf`,
      `lxc.hook.start-host = ${command}`,
      `lxc.hook.post-stop = ${command}`,
      "",
    ].join("\n"),
  };
}

const OCI_FILE = "/usr/share/containers/oci/hooks.d/20-vprocfs.json";
/**
 * Outside of all that goes with vprocfs, and left there for good: the configuration of a container that
 * was made with the hook, and is kept by an engine, must not name what is gone.
 */
export const STARTER = "/usr/libexec/vprocfs-hook";

function starterFiles({ starter }: HookPlaces): HookFile[] {
  const isOurs = starter?.includes(MARK) === true;
  const file = { kind: "oci", path: STARTER, needs: "/etc/containers", owns: [] } as const;
  return isOurs ? [{ ...file, content: starter, isProgram: true, stays: true }] : [];
}

function ociFile(places: HookPlaces): HookFile {
  const { helper } = places;
  const byShell = { path: "/bin/sh", args: ["sh", "-c", failOpen(places, "oci")] };
  const byStarter = {
    path: STARTER,
    args: ["vprocfs-hook", helper, ...helperArguments(places, "oci")],
  };
  const hook = {
    version: "1.0.0",
    hook: {
      ...(starterFiles(places).length > 0 ? byStarter : byShell),
      env: [`VPROCFS_HOOK=${MARK}`],
      timeout: 30,
    },
    when: { always: true },
    stages: ["createRuntime"],
  };
  return {
    kind: "oci",
    // Where podman and CRI-O look when nobody has configured another place.
    path: OCI_FILE,
    needs: "/etc/containers",
    owns: ["/usr/share/containers/oci/hooks.d", "/usr/share/containers/oci"],
    content: `${JSON.stringify(hook, null, 2)}\n`,
  };
}

function nspawnFile({ program }: HookPlaces): HookFile {
  const directory = "/etc/systemd/system/systemd-nspawn@.service.d";
  return {
    kind: "nspawn",
    path: `${directory}/20-vprocfs.conf`,
    needs: "/usr/lib/systemd/system/systemd-nspawn@.service",
    owns: [directory],
    content: [
      `# ${MARK}`,
      "[Service]",
      `ExecStartPost=-${[...program, "attach", "--automatic", "%i"].join(" ")}`,
      "",
    ].join("\n"),
  };
}

/** Throws where hooks cannot be written, since a shell would read a path otherwise. */
export function checkPlaces(places: HookPlaces): void {
  for (const word of [places.helper, places.mountpoint, places.settings, ...places.program]) {
    if (!/^[\w./%@:+-]+$/.test(word)) {
      throw new VprocfsError(
        "USAGE",
        `hooks cannot use '${word}': only letters, digits and _ . / % @ : + - are allowed`,
      );
    }
  }
}

/** All files that hooks consist of, in the order in which they are written. */
export function hookFiles(places: HookPlaces): HookFile[] {
  return [lxcFile(places), ...starterFiles(places), ociFile(places), nspawnFile(places)];
}

export type HookState =
  | "written"
  | "updated"
  | "unchanged"
  | "removed"
  | "absent"
  | "left"
  | "foreign"
  | "not needed"
  | "failed";

export interface HookOutcome {
  readonly kind: HookKind;
  readonly path: string;
  readonly state: HookState;
  readonly content: string;
  readonly reason?: string;
}

export interface HookOptions {
  /** Says what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** Only for these runtimes, also where they seem not to be installed. */
  readonly kinds: readonly HookKind[];
  /** Before every path; tests use another than the real one. */
  readonly root: string;
}

function encodingOf({ isProgram }: Pick<HookFile, "isProgram">): "latin1" | "utf8" {
  return isProgram === true ? "latin1" : "utf8";
}

function readIfThere(path: string, encoding: "latin1" | "utf8"): string | undefined {
  try {
    return readFileSync(path, encoding);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") {
      return undefined;
    }
    throw error;
  }
}

function installState(
  file: HookFile,
  options: HookOptions,
  present: string | undefined,
): HookState {
  if (options.kinds.length > 0 && !options.kinds.includes(file.kind)) {
    return "not needed";
  }
  if (present !== undefined && !present.includes(MARK)) {
    return "foreign";
  }
  const isAsked = options.kinds.includes(file.kind);
  if (!isAsked && !existsSync(join(options.root, file.needs))) {
    return "not needed";
  }
  if (file.problem !== undefined) {
    throw new VprocfsError("SYSTEM", file.problem);
  }
  if (present === undefined) {
    return "written";
  }
  return present === file.content ? "unchanged" : "updated";
}

function write(path: string, file: HookFile): void {
  const mode = file.isProgram === true ? 0o755 : 0o644;
  const encoding = encodingOf(file);
  replaceFile(path, { content: file.content, encoding, mode, directoryMode: 0o755 });
}

function guarded(file: HookFile, act: () => HookState): HookOutcome {
  const { kind, path } = file;
  const content = file.isProgram === true ? "(a program)\n" : file.content;
  try {
    return { kind, path, content, state: act() };
  } catch (error) {
    return { kind, path, content, state: "failed", reason: messageOf(error) };
  }
}

/** Writes the hooks of all runtimes that are installed. */
export function installHooks(files: readonly HookFile[], options: HookOptions): HookOutcome[] {
  const missing = new Map<HookKind, string>();
  return files.map((file) => {
    const outcome = guarded(file, () => {
      const path = join(options.root, file.path);
      const state = installState(file, options, readIfThere(path, encodingOf(file)));
      if (options.dryRun || (state !== "written" && state !== "updated")) {
        return state;
      }
      // Later files name earlier ones, without which a runtime would start nothing.
      const needed = missing.get(file.kind);
      if (needed !== undefined) {
        throw new VprocfsError("SYSTEM", `needs ${needed}`);
      }
      write(path, file);
      return state;
    });
    if (outcome.state === "failed" && !missing.has(file.kind)) {
      missing.set(file.kind, file.path);
    }
    return outcome;
  });
}

const LXC_CONTAINERS = "/var/lib/lxc";

/** Whether the configuration of a container of LXC names a file. */
function isNamedByLxc({ path }: HookFile, root: string): boolean {
  const directory = join(root, LXC_CONTAINERS);
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return names.some((name) => readIfThere(join(directory, name, "config"), "utf8")?.includes(path));
}

/** In the place of a file that is included; the package's postrm knows it by its last words. */
const STUB = `# ${MARK}: left for configurations that include it.\n`;

/** Whether a file is there that is ours, and that does something. */
export function isInUse({ path }: HookFile, root: string): boolean {
  const present = readIfThere(join(root, path), "utf8");
  return present?.includes(MARK) === true && present !== STUB;
}

/** Whether an operator has taken the hooks away. */
export function hooksAreUnwanted(root: string): boolean {
  return existsSync(join(root, NO_HOOKS));
}

/** Remembers what an operator wants of hooks, where the package has its directory. */
export function setHooksWanted(areWanted: boolean, root: string): void {
  const path = join(root, NO_HOOKS);
  if (areWanted) {
    rmSync(path, { force: true });
  } else if (existsSync(dirname(path))) {
    const content = "Written by vprocfs uninstall-hooks; install-hooks removes it.\n";
    replaceFile(path, { content, mode: 0o644, directoryMode: 0o755 });
  }
}

/** Removes what installHooks has written, and the directories that this leaves empty. */
export function uninstallHooks(files: readonly HookFile[], options: HookOptions): HookOutcome[] {
  const act = (file: HookFile): HookOutcome =>
    guarded(file, () => {
      const path = join(options.root, file.path);
      const present = readIfThere(path, encodingOf(file));
      if (options.kinds.length > 0 && !options.kinds.includes(file.kind)) {
        return "not needed";
      }
      if (present === undefined) {
        return "absent";
      }
      if (!present.includes(MARK)) {
        return "foreign";
      }
      if (file.stays === true) {
        return "left";
      }
      if (file.isIncluded === true && isNamedByLxc(file, options.root)) {
        if (!options.dryRun && present !== STUB) {
          write(path, { ...file, content: STUB });
        }
        return "left";
      }
      if (!options.dryRun) {
        rmSync(path);
        removeEmpty(file.owns.map((directory) => join(options.root, directory)));
      }
      return "removed";
    });
  // What names others goes before them.
  return files.toReversed().map(act).toReversed();
}

function removeEmpty(directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      rmdirSync(directory);
    } catch {
      // Somebody else uses it.
      return;
    }
  }
}
