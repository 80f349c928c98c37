import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** One line of /proc/<pid>/mountinfo. */
export interface Mount {
  readonly id: number;
  readonly parentId: number;
  /** "major:minor" of the file system; every new mount of vprocfs has another one. */
  readonly device: string;
  /** The path within the file system that is mounted here. */
  readonly root: string;
  readonly mountpoint: string;
  readonly fsType: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The kernel writes space, tab, newline, backslash and # as \ and three octal digits. */
function unescapeField(field: string): string {
  return field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function parseLine(line: string): Mount | undefined {
  const words = line.split(" ");
  // Any number of optional fields come before the single hyphen.
  const hyphen = words.indexOf("-", 6);
  const [id, parentId, device = "", root, mountpoint] = words;
  const [fsType, source, superOptions] = words.slice(hyphen + 1);
  if (hyphen < 0 || root === undefined || mountpoint === undefined || fsType === undefined) {
    return undefined;
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: unescapeField(root),
    mountpoint: unescapeField(mountpoint),
    fsType: unescapeField(fsType),
    source: unescapeField(source ?? ""),
    superOptions: (superOptions ?? "").split(","),
  };
}

/** Parses mountinfo, in the kernel's order; malformed lines are left out. */
export function parseMountinfo(text: string): Mount[] {
  return text
    .split("\n")
    .map(parseLine)
    .filter((mount) => mount !== undefined);
}

/** The mounts of this process's mount namespace. */
export function readMounts(path = "/proc/self/mountinfo"): Mount[] {
  return parseMountinfo(readFileSync(path, "utf8"));
}

const PIECE = 65_536;
/** Lines that are kept: a container may have any number of mounts. */
const MAX_ENTRIES = 16_384;
const LONGEST_LINE = 65_536;

/**
 * The mounts of another process at or below /proc and /sys, and at /dev/kmsg. Its table may have any size;
 * RangeError is thrown if it has more than `maxBytes`, and errors of reading it are thrown too.
 */
export function readKernelTreeMounts(path: string, maxBytes = Number.POSITIVE_INFINITY): Mount[] {
  const fd = openSync(path, "r");
  try {
    const piece = Buffer.alloc(PIECE);
    const kept: string[] = [];
    let begun = "";
    let bytes = 0;
    for (let size = readSync(fd, piece); size > 0; size = readSync(fd, piece)) {
      bytes += size;
      if (bytes > maxBytes) {
        throw new RangeError(`${path} is too long`);
      }
      const lines = (begun + piece.toString("latin1", 0, size)).split("\n");
      begun = (lines.pop() ?? "").slice(0, LONGEST_LINE);
      for (const line of lines) {
        if (kept.length < MAX_ENTRIES && / \/(?:(?:proc|sys)[/ ]|dev\/kmsg )/.test(line)) {
          kept.push(Buffer.from(line.slice(0, LONGEST_LINE), "latin1").toString());
        }
      }
    }
    return parseMountinfo(kept.join("\n"));
  } finally {
    closeSync(fd);
  }
}

/** The mount that is visible at exactly this path: of several the topmost. */
export function mountAt(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts.findLast((mount) => mount.mountpoint === path);
}
