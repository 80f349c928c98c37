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

/**
 * What is read of a container's table at once. For each line the kernel walks through all mounts below that one,
 * so any number of bytes may take any time.
 */
const PIECE = 4096;
/** Lines that are kept: a container may have any number of mounts. */
const MAX_ENTRIES = 16_384;
const LONGEST_LINE = 65_536;

/** How far the mount tables of containers are read. */
export interface TableBounds {
  /** How long one table may take, ms; a piece of it may take longer. */
  readonly tableMs: number;
  /** The same for all tables of one tenant. */
  readonly tenantMs: number;
  /** The same for all tables. */
  readonly allMs?: number;
  readonly maxBytes?: number;
}

/** Reads mount tables of containers, which may be of any size. */
export class ContainerTables {
  readonly #bounds: TableBounds;
  readonly #now: () => number;
  readonly #tookMs = new Map<string, number>();
  #allTookMs = 0;

  constructor(bounds: TableBounds, now: () => number = () => performance.now()) {
    this.#bounds = bounds;
    this.#now = now;
  }

  /**
   * The mounts of a process at or below /proc and /sys, and at /dev/kmsg. RangeError: the table is beyond the
   * bounds. Errors of reading it are thrown too.
   */
  kernelTreeMounts(tenant: string, path: string): Mount[] {
    const { tableMs, tenantMs, allMs = Number.POSITIVE_INFINITY } = this.#bounds;
    const tookMs = this.#tookMs.get(tenant) ?? 0;
    const begin = this.#now();
    const withinMs = Math.min(tableMs, tenantMs - tookMs, allMs - this.#allTookMs);
    try {
      return this.#read(path, begin + withinMs);
    } finally {
      const took = this.#now() - begin;
      this.#tookMs.set(tenant, tookMs + took);
      this.#allTookMs += took;
    }
  }

  #read(path: string, untilMs: number): Mount[] {
    const { maxBytes = Number.POSITIVE_INFINITY } = this.#bounds;
    const fd = openSync(path, "r");
    try {
      const piece = Buffer.alloc(PIECE);
      const kept: string[] = [];
      let begun = "";
      for (let bytes = 0; ; ) {
        if (bytes > maxBytes || this.#now() >= untilMs) {
          throw new RangeError(`${path} is too long`);
        }
        const size = readSync(fd, piece);
        if (size === 0) {
          return parseMountinfo(kept.join("\n"));
        }
        bytes += size;
        const lines = (begun + piece.toString("latin1", 0, size)).split("\n");
        begun = (lines.pop() ?? "").slice(0, LONGEST_LINE);
        for (const line of lines) {
          if (kept.length < MAX_ENTRIES && / \/(?:(?:proc|sys)[/ ]|dev\/kmsg )/.test(line)) {
            kept.push(Buffer.from(line.slice(0, LONGEST_LINE), "latin1").toString());
          }
        }
      }
    } finally {
      closeSync(fd);
    }
  }
}

/** The mount that is visible at exactly this path: of several the topmost. */
export function mountAt(mounts: readonly Mount[], path: string): Mount | undefined {
  return mounts.findLast((mount) => mount.mountpoint === path);
}
