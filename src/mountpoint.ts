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
import { within } from "./within.js";

/** How our own mounts look in mount tables. */
export interface Identity {
  readonly fsType: string;
  readonly source: string;
}

/** Everything here that touches the system, so that tests can replace it. */
export interface MountpointSystem {
  uid(): number;
  mounts(): Mount[];
  /** Opens and closes the FUSE device. */
  probeFuse(): void;
  entries(path: string): Promise<string[]>;
  makeDirectory(path: string): void;
  /** Unmounts lazily; false: nothing was mounted there. */
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

/** How long a mount may take to answer: its server may hang. */
const ANSWER_WITHIN_MS = 5000;
/** If more dead mounts than this are stacked on one path, an operator has to look. */
const MAX_DEAD = 16;

/**
 * Whether a mount was made by a vprocfs with this configuration or the default one.
 * native/source/mount_kind.h has the same rules as this and isLxcfs().
 */
export function isOurs(mount: Mount, identity: Identity): boolean {
  return (
    [identity.source, defaultOf("source")].includes(mount.source) &&
    [identity.fsType, defaultOf("fsType")].includes(mount.fsType)
  );
}

/**
 * Whether LXCFS made a mount. By default our mounts have the same type, "fuse.lxcfs", so the source decides; but if
 * vprocfs is configured with the source of LXCFS, the mount counts as ours.
 */
export function isLxcfs(mount: Mount, identity: Identity): boolean {
  const isFuse = mount.fsType === "fuse" || mount.fsType.startsWith("fuse.");
  return isFuse && mount.source === "lxcfs" && !isOurs(mount, identity);
}

/** The mount point of LXCFS, or of vprocfs in its place (the package vprocfs-lxcfs-compat). */
export const LXCFS_PLACE = "/var/lib/lxcfs";

/**
 * The mount point if none is named: the default, or LXCFS's place if vprocfs is mounted there and not at the default.
 * Mount tables have neither so where /var is a symlink. `lxcfsPlace` is another one in tests.
 */
export function servingPlace(
  mounts: readonly Mount[],
  identity: Identity,
  lxcfsPlace = LXCFS_PLACE,
): string {
  const place = String(defaultOf("mountpoint"));
  const isOursAt = (path: string): boolean => {
    const mount = mountOf(mounts, path);
    return mount !== undefined && isOurs(mount, identity);
  };
  return !isOursAt(place) && isOursAt(lxcfsPlace) ? lxcfsPlace : place;
}

/** Whether the visible mount at a canonical path is ours, dead or alive. */
export function isOnTop(system: MountpointSystem, path: string, identity: Identity): boolean {
  const mount = mountAt(system.mounts(), path);
  return mount !== undefined && isOurs(mount, identity);
}

/** How many symlinks in a row are followed, as by the kernel. */
const MAX_LINKS = 40;

/** The visible mount at `path`, of any file system, or undefined. The mount itself is not asked: it may be dead. */
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
    // `at` is not a symlink, or does not exist.
  }
  return undefined;
}

/** The default mount point, as mount tables show it. */
export function defaultPlace(): string {
  return canonicalPath(String(defaultOf("mountpoint")));
}

/** The path as mount tables show it: absolute and without symlinks. Works for dead mounts too. */
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
function checkPrivileges(system: MountpointSystem): void {
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
  try {
    return { entries: await within(system.entries(path), ANSWER_WITHIN_MS, "ETIMEDOUT") };
  } catch (error) {
    return { errno: errnoOf(error) ?? messageOf(error) };
  }
}

/** What is mounted at a path. "hung": a mount of ours that does not answer, or answers with errors. */
export type MountState = "live" | "dead" | "hung" | "foreign" | "none";

/** The state of a canonical path. Only mounts of ours are asked. */
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

/** mountState() on the real system, for callers that only look and need no addon. */
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
  if ("errno" in answer && answer.errno === "ENOENT" && path === defaultPlace()) {
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

/** The result of prepareMountpoint(). */
interface Prepared {
  /** Where to mount, as mount tables will show it. */
  readonly path: string;
  /** The number of dead mounts of ours that were unmounted. */
  readonly removed: number;
}

/**
 * Makes sure that `path` is an empty directory with nothing mounted on it. Creates the default mount point,
 * and unmounts dead mounts of ours; throws in all other cases.
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
