import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  promises,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { defaultOf } from "./config.js";
import { errnoOf, messageOf, VprocfsError } from "./errors.js";
import { type Mount, mountAt, readMounts } from "./mountinfo.js";
import { printable } from "./text.js";

/** How our own mounts look in mount tables. */
export interface Identity {
  readonly fsType: string;
  readonly source: string;
}

/** What touches the system, so that tests can stand in for it. */
export interface MountpointSystem {
  uid(): number;
  mounts(): Mount[];
  /** Opens and closes the FUSE device. */
  probeFuse(): void;
  entries(path: string): Promise<string[]>;
  makeDirectory(path: string): void;
  /** Lazy; false when nothing was mounted there. */
  unmount(path: string): boolean;
}

/** The real system; only unmounting needs the addon. */
export function realSystem(unmount: (path: string) => boolean): MountpointSystem {
  return {
    uid: () => process.getuid?.() ?? -1,
    mounts: () => readMounts(),
    probeFuse: () => closeSync(openSync("/dev/fuse", constants.O_RDWR)),
    entries: (path) => promises.readdir(path),
    makeDirectory: (path) => {
      mkdirSync(path, { recursive: true, mode: 0o755 });
    },
    unmount,
  };
}

/** A mount whose server hangs would hold us for ever. */
const ANSWER_WITHIN_MS = 5000;
/** More dead mounts than this on one path are not removed without asking. */
const MAX_DEAD = 16;

/**
 * True for mounts made by a vprocfs of this or of the default configuration. It and isLxcfs() are
 * native/source/mount_kind.h in TypeScript.
 */
export function isOurs(mount: Mount, identity: Identity): boolean {
  return (
    [identity.source, defaultOf("source")].includes(mount.source) &&
    [identity.fsType, defaultOf("fsType")].includes(mount.fsType)
  );
}

/**
 * True for mounts of LXCFS, which are of type "fuse.lxcfs", as ours are by default: the source tells. A
 * vprocfs that is configured to have LXCFS's own source is ours.
 */
export function isLxcfs(mount: Mount, identity: Identity): boolean {
  const isFuse = mount.fsType === "fuse" || mount.fsType.startsWith("fuse.");
  return isFuse && mount.source === "lxcfs" && !isOurs(mount, identity);
}

/** Where LXCFS is mounted, and vprocfs in its place (the package vprocfs-lxcfs-compat). */
const LXCFS_PLACE = "/var/lib/lxcfs";

/**
 * Where a vprocfs serves that nobody has named: at the default mount point, or in LXCFS's place when
 * one is mounted there and none at the default.
 */
export function servingPlace(mounts: readonly Mount[], identity: Identity): string {
  const place = String(defaultOf("mountpoint"));
  const isOursAt = (path: string): boolean => {
    const mount = mountAt(mounts, path);
    return mount !== undefined && isOurs(mount, identity);
  };
  return !isOursAt(place) && isOursAt(LXCFS_PLACE) ? LXCFS_PLACE : place;
}

/** True when a mount of ours, dead or alive, is what is seen at a canonical path. */
export function isOnTop(system: MountpointSystem, path: string, identity: Identity): boolean {
  const mount = mountAt(system.mounts(), path);
  return mount !== undefined && isOurs(mount, identity);
}

/** More symlinks than this in a row lead nowhere, for the kernel too. */
const MAX_LINKS = 40;

/**
 * The mount that one sees at `path`, of whatever file system, or undefined. Asks that file system
 * nothing: nobody may be serving it.
 */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  let at = resolve(path);
  try {
    for (let links = 0; links < MAX_LINKS; links += 1) {
      at = join(realpathSync(dirname(at)), basename(at));
      const mount = mountAt(mounts, at);
      if (mount !== undefined) {
        return mount;
      }
      at = resolve(dirname(at), readlinkSync(at));
    }
  } catch {
    // Not a symlink, or nothing.
  }
  return undefined;
}

/** The path as mount tables show it: absolute, without symlinks. Works for dead mounts too. */
export function canonicalPath(path: string): string {
  const absolute = resolve(path);
  const mount = mountOf(readMounts(), absolute);
  if (mount !== undefined) {
    return mount.mountpoint;
  }
  try {
    return realpathSync(absolute);
  } catch {
    try {
      return join(realpathSync(dirname(absolute)), basename(absolute));
    } catch {
      return absolute;
    }
  }
}

/** Throws unless this process can mount FUSE at all. */
export function checkPrivileges(system: MountpointSystem): void {
  if (system.uid() !== 0) {
    throw new VprocfsError("NOT_ROOT", "must be run as root");
  }
  try {
    system.probeFuse();
  } catch (error) {
    const code = errnoOf(error);
    const isMissing = code === "ENOENT" || code === "ENODEV" || code === "ENXIO";
    const message = isMissing
      ? "there is no /dev/fuse: load the kernel module with 'modprobe fuse', or give this container the device"
      : `/dev/fuse cannot be opened (${code ?? messageOf(error)}): this container may not use the device`;
    throw new VprocfsError("FUSE", message, { cause: error });
  }
}

type Answer = { readonly entries: string[] } | { readonly errno: string };

async function ask(system: MountpointSystem, path: string): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Answer>((done) => {
    timer = setTimeout(() => done({ errno: "ETIMEDOUT" }), ANSWER_WITHIN_MS);
  });
  const answer = system.entries(path).then(
    (entries) => ({ entries }),
    (error: unknown) => ({ errno: errnoOf(error) ?? messageOf(error) }),
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The state of a path as a place to find the tree at; "hung": it does not answer, or with errors. */
export type MountState = "live" | "dead" | "hung" | "foreign" | "none";

/** Says what is mounted at a canonical path. File systems that are not ours are not touched. */
export async function mountState(
  system: MountpointSystem,
  path: string,
  identity: Identity,
): Promise<MountState> {
  const mount = mountAt(system.mounts(), path);
  if (mount === undefined) {
    return "none";
  }
  if (!isOurs(mount, identity)) {
    return "foreign";
  }
  const answer = await ask(system, path);
  if (!("errno" in answer)) {
    return "live";
  }
  return ["ENOTCONN", "ECONNABORTED"].includes(answer.errno) ? "dead" : "hung";
}

/** The same on the real system, for who only looks: that needs no addon. */
export function stateOfMount(path: string, identity: Identity): Promise<MountState> {
  return mountState(
    realSystem(() => false),
    path,
    identity,
  );
}

async function clearMounts(
  system: MountpointSystem,
  path: string,
  identity: Identity,
): Promise<number> {
  const place = printable(path);
  for (let removed = 0; removed < MAX_DEAD; removed += 1) {
    const state = await mountState(system, path, identity);
    if (state === "none") {
      return removed;
    }
    if (state === "live" || state === "hung") {
      const how = state === "live" ? "" : " and does not answer";
      throw new VprocfsError("MOUNTPOINT", `${place}: a vprocfs is already mounted here${how}`);
    }
    if (state === "foreign") {
      const mount = mountAt(system.mounts(), path);
      const what = mount === undefined ? "" : ` (${mount.fsType} from ${printable(mount.source)})`;
      throw new VprocfsError("MOUNTPOINT", `${place}: something else is mounted here${what}`);
    }
    if (!system.unmount(path)) {
      throw new VprocfsError("MOUNTPOINT", `${place}: a dead vprocfs mount cannot be unmounted`);
    }
  }
  throw new VprocfsError("MOUNTPOINT", `${place}: too many dead mounts are stacked here`);
}

async function checkDirectory(system: MountpointSystem, path: string): Promise<void> {
  const place = printable(path);
  let answer = await ask(system, path);
  if ("errno" in answer && answer.errno === "ENOENT" && path === defaultOf("mountpoint")) {
    system.makeDirectory(path);
    answer = await ask(system, path);
  }
  if ("entries" in answer) {
    if (answer.entries.length > 0) {
      throw new VprocfsError("MOUNTPOINT", `${place}: the directory is not empty`);
    }
    return;
  }
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such directory",
    ENOTDIR: "not a directory",
    ENOTCONN: "the file system there is dead",
    ETIMEDOUT: "the file system there does not answer",
  };
  throw new VprocfsError("MOUNTPOINT", `${place}: ${reasons[answer.errno] ?? answer.errno}`);
}

/** What prepareMountpoint() found and did. */
export interface Prepared {
  /** Where to mount, as mount tables will show it. */
  readonly path: string;
  /** Dead mounts of our own that were taken away. */
  readonly removed: number;
}

/**
 * Makes sure that `path` is an empty directory with nothing mounted on it. Creates the default
 * mount point and unmounts dead mounts of our own; refuses everything else.
 */
export async function prepareMountpoint(
  system: MountpointSystem,
  path: string,
  identity: Identity,
): Promise<Prepared> {
  checkPrivileges(system);
  const canonical = canonicalPath(path);
  const removed = await clearMounts(system, canonical, identity);
  await checkDirectory(system, canonical);
  return { path: canonical, removed };
}
