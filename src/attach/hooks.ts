import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { replaceFile } from "../replace-file.js";
import { type HookFile, type HookKind, MARK, STUB } from "./hook-files.js";

/**
 * An empty JSON file is what a crash may leave of one, and podman starts no container while it is there. Other files
 * may be empty because an administrator wants them so.
 */
function isForeign({ path }: Pick<HookFile, "path">, present: string): boolean {
  return !(present === "" && path.endsWith(".json")) && !present.includes(MARK);
}

/** Exists if an operator wants no hooks: the package then installs none. */
const NO_HOOKS = "/etc/vprocfs/no-hooks";

type HookState =
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
  /** Only say what would be done. */
  readonly dryRun: boolean;
  /** Only these runtimes, whether or not they seem to be installed; empty: those that are, or that have our hooks. */
  readonly kinds: readonly HookKind[];
  /** Prefix of every path: "/", or a directory of a test. */
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

/** Whether a file is ours and would be removed with our hooks. One that cannot be read is not: its own outcome says so. */
function isRemovable(file: HookFile, root: string): boolean {
  try {
    const present = readIfThere(join(root, file.path), encodingOf(file));
    return present !== undefined && file.stays !== true && !isForeign(file, present);
  } catch {
    return false;
  }
}

/** The runtimes that were asked for earlier, installed or not. Their files may name each other. */
function kindsInUse(files: readonly HookFile[], root: string): Set<HookKind> {
  return new Set(files.filter((file) => isRemovable(file, root)).map(({ kind }) => kind));
}

function installState(
  file: HookFile,
  options: HookOptions,
  { present, isKindInUse }: { readonly present: string | undefined; readonly isKindInUse: boolean },
): HookState {
  if (options.kinds.length > 0 && !options.kinds.includes(file.kind)) {
    return "not needed";
  }
  if (present !== undefined && isForeign(file, present)) {
    return "foreign";
  }
  const isNeeded = options.kinds.includes(file.kind) || existsSync(join(options.root, file.needs));
  // What was asked for earlier is kept up to date, if it can be.
  const isKept = isKindInUse || present !== undefined;
  if (!isNeeded && (!isKept || file.problem !== undefined)) {
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

/** Writes the hooks of all runtimes that are installed, or that have ours already. */
export function installHooks(files: readonly HookFile[], options: HookOptions): HookOutcome[] {
  const missing = new Map<HookKind, string>();
  const inUse = kindsInUse(files, options.root);
  return files.map((file) => {
    const outcome = guarded(file, () => {
      const path = join(options.root, file.path);
      const present = readIfThere(path, encodingOf(file));
      const state = installState(file, options, { present, isKindInUse: inUse.has(file.kind) });
      if (options.dryRun || (state !== "written" && state !== "updated")) {
        return state;
      }
      // A later file names earlier ones. If one of those is missing, the runtime would start no container.
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

const LXC_OWN = "/etc/lxc";
const LXC_CONTAINERS = "/var/lib/lxc";
/** Proxmox makes those of its containers out of the ones here, at each start. */
const PROXMOX_NODES = "/etc/pve/nodes";

/** Where root's LXC has the configurations of its containers. */
function lxcContainers(root: string): string {
  const settings = readIfThere(join(root, LXC_OWN, "lxc.conf"), "utf8") ?? "";
  return /^\s*lxc\.lxcpath\s*=\s*(\/.*?)\s*$/m.exec(settings)?.[1] ?? LXC_CONTAINERS;
}

/** The users but root who may have containers: those with UIDs for them. */
export function usersWithContainers(root: string): string[] {
  const lines = (readIfThere(join(root, "/etc/subuid"), "utf8") ?? "").split("\n");
  const names = lines.map((line) => line.split(":")[0] ?? "");
  return [...new Set(names)].filter((name) => !["", "root", "0"].includes(name));
}

/** Whether users have UIDs for containers out of a directory service, which only that can list. */
export function usersAreElsewhere(root: string): boolean {
  const sources = readIfThere(join(root, "/etc/nsswitch.conf"), "utf8") ?? "";
  return /^[ \t]*subid:([^#\n]*[ \t])?sss([ \t]|$)/m.test(sources);
}

/**
 * Whether the configuration of any LXC container, or of new ones, may name the file. Those of users are in their
 * homes, or wherever they have told LXC to look, where root had better read nothing.
 */
function mayBeNamedByLxc({ path }: HookFile, root: string): boolean {
  if (usersWithContainers(root).length > 0 || usersAreElsewhere(root)) {
    return true;
  }
  const inDirectory = (directory: string, nameOf: (entry: string) => string): string[] =>
    existsSync(directory)
      ? readdirSync(directory).map((entry) => join(directory, nameOf(entry)))
      : [];
  const inFiles = (directory: string): string[] =>
    inDirectory(directory, (entry) => entry).filter((file) => file.endsWith(".conf"));
  const configurations = [
    ...inFiles(join(root, LXC_OWN)),
    ...inDirectory(join(root, lxcContainers(root)), (entry) => join(entry, "config")),
    ...inDirectory(join(root, PROXMOX_NODES), (entry) => join(entry, "lxc")).flatMap(inFiles),
  ];
  return configurations.some((file) => readIfThere(file, "utf8")?.includes(path));
}

/** Whether the file exists, is ours, and is not just what was left of it. */
export function isInUse({ path }: HookFile, root: string): boolean {
  const present = readIfThere(join(root, path), "utf8");
  return present?.includes(MARK) === true && !present.endsWith(STUB);
}

/** Whether an operator has removed the hooks. */
export function hooksAreUnwanted(root: string): boolean {
  return existsSync(join(root, NO_HOOKS));
}

/** Remembers whether an operator wants hooks, if the package's directory exists. */
export function setHooksWanted(areWanted: boolean, root: string): void {
  const path = join(root, NO_HOOKS);
  if (areWanted) {
    rmSync(path, { force: true });
  } else if (existsSync(dirname(path))) {
    const content = "Written by vprocfs uninstall-hooks; install-hooks removes it.\n";
    replaceFile(path, { content, mode: 0o644, directoryMode: 0o755 });
  }
}

/** Removes what installHooks() has written, and the directories that are empty then. */
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
      if (isForeign(file, present)) {
        return "foreign";
      }
      if (file.stays === true) {
        return "left";
      }
      if (file.leaves !== undefined && mayBeNamedByLxc(file, options.root)) {
        if (!options.dryRun && !present.endsWith(STUB)) {
          write(path, { ...file, content: file.leaves(present) });
        }
        return "left";
      }
      if (!options.dryRun) {
        rmSync(path);
        removeEmpty(file.owns.map((directory) => join(options.root, directory)));
      }
      return "removed";
    });
  // Files that name other files are removed before those.
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
