import { VprocfsError } from "../errors.js";

/** The runtimes that hooks are for. */
export const HOOK_KINDS = ["lxc", "oci", "nspawn"] as const;
export type HookKind = (typeof HOOK_KINDS)[number];

/** Marks our files. A file with anything else in it is never overwritten or removed. */
export const MARK = "managed by vprocfs install-hooks";

/** Ends what stays of a file that configurations of LXC still name. The package's postrm recognises its last words. */
export const STUB = `# ${MARK}: left for configurations that include it.\n`;

export interface HookPlaces {
  /** The helper, as an absolute path. */
  readonly helper: string;
  /** The program that starts the helper (native/hook), one character for each byte; without it a shell does. */
  readonly starter?: string;
  /** How to run `vprocfs`, for hooks that call it. */
  readonly program: readonly string[];
  readonly mountpoint: string;
  /** Where a running daemon writes its settings. */
  readonly settings: string;
}

export interface HookFile {
  readonly kind: HookKind;
  readonly path: string;
  /** A path that exists if the runtime is installed. */
  readonly needs: string;
  readonly content: string;
  /** Shown in place of contents that are too long. */
  readonly summary?: string;
  /** Directories to remove with the file if they are empty then, the innermost first. */
  readonly owns: readonly string[];
  /** It is an executable: each character of `content` is one byte. */
  readonly isProgram?: boolean;
  /** It is never removed, because configurations that we do not know of may name it. */
  readonly stays?: boolean;
  /**
   * What stays of it, with STUB at its end, while configurations of LXC may name it: LXC starts no container whose
   * include or policy is missing.
   */
  readonly leaves?: (present: string) => string;
  /** Why it cannot be written where it is needed. */
  readonly problem?: string;
}

const LXC_DIRECTORY = "/usr/share/lxc/config/common.conf.d";

function helperArguments(places: HookPlaces, hook: "lxc" | "oci"): string[] {
  const { mountpoint, settings } = places;
  // If the settings file exists, its mount point is used instead.
  return ["--mountpoint", mountpoint, "--settings", settings, "--hook", hook];
}

/** A shell command that succeeds if the helper is gone, so that containers still start. */
function failOpen(places: HookPlaces, hook: "lxc" | "oci"): string {
  const { helper } = places;
  return `test ! -x ${helper} || exec ${[helper, ...helperArguments(places, hook)].join(" ")}`;
}

function lxcFile(places: HookPlaces): HookFile {
  // LXC runs it in a shell with "exec " in front. An exec of a redirection alone only changes stdin, and the
  // shell goes on.
  const command = `</dev/null; ${failOpen(places, "lxc")}`;
  return {
    kind: "lxc",
    path: `${LXC_DIRECTORY}/20-vprocfs.conf`,
    needs: LXC_DIRECTORY,
    owns: [],
    leaves: () => STUB,
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
 * The starter stays when vprocfs is removed, because engines keep the configuration of a container that was
 * created with the hook, and that names this path.
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
    // The default directory of podman and CRI-O.
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
      // A container may keep the command waiting, and systemd would stop the machine for it.
      `ExecStartPost=-/usr/bin/timeout -k 1 20 ${[...program, "attach", "--automatic", "%i"].join(" ")}`,
      "",
    ].join("\n"),
  };
}

/** Throws if a path has characters that a shell would interpret. */
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

/** All files of hooks, in the order in which they are written. */
export function hookFiles(places: HookPlaces): HookFile[] {
  return [lxcFile(places), ...starterFiles(places), ociFile(places), nspawnFile(places)];
}
