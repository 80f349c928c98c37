import { errnoOf } from "../errors.js";
import type { Renderer, TreeNode } from "../native/binding.js";

/** Why an operation fails: the name of an errno. */
export class TreeError extends Error {
  constructor(
    readonly code:
      | "EACCES"
      | "EINVAL"
      | "EIO"
      | "EISDIR"
      | "ENFILE"
      | "ENOENT"
      | "ENOTDIR"
      | "EOPNOTSUPP"
      | "EROFS"
      | "ESRCH",
  ) {
    super(code);
  }
}

interface TreeOptions {
  readonly tickMs: number;
  readonly maxOpenPerContainer: number;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

/** A file, directory or link of the mount. */
interface TreeEntry extends TreeNode {
  /** The container's id; "" for directories above the containers. */
  readonly container: string;
  /** Below the container's directory. */
  readonly path: string;
}

/** Files of sysfs are read-only in a container. */
function isOfSysfs({ path }: TreeEntry): boolean {
  return path.startsWith("sys/");
}

interface Snapshot {
  readonly bytes: Buffer;
  readonly takenMs: number;
}

interface OpenFile {
  readonly container: string;
  readonly path: string;
  snapshot: Snapshot;
  /** Whether it was read from offset 0. */
  begun: boolean;
}

/** Types in st_mode. */
const TYPE = 0o170000;
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const LINK = 0o120000;

/** From this number of snapshots on, old ones are dropped. */
const MANY_SNAPSHOTS = 1024;
/** The largest handle that the package can pass; 0 is not used. */
const MAX_HANDLE = 0x7fff_ffff;

/** A directory above the containers. */
function directory(names: readonly string[]): TreeEntry {
  const mode = DIRECTORY | 0o555;
  const own = { uid: 0, gid: 0, size: 0, links: 2, isMirrored: false };
  return { container: "", path: "", mode, names, ...own };
}

export function isFile(entry: TreeEntry): boolean {
  return (entry.mode & TYPE) === REGULAR;
}

/**
 * The tree `containers/<id>/...` and its open files, for an engine that answers requests in JavaScript. The
 * addon knows which files there are. Operations throw a TreeError.
 */
export class FuseTree {
  renders = 0;
  sourceErrors = 0;
  refusedOpens = 0;

  readonly #renderer: Renderer;
  readonly #options: TreeOptions;
  readonly #now: () => number;
  readonly #files = new Map<number, OpenFile>();
  readonly #openByContainer = new Map<string, number>();
  /** The last snapshot of each file, which all who open it within a tick share. */
  readonly #last = new Map<string, Snapshot>();
  #handle = 0;

  constructor(renderer: Renderer, options: TreeOptions) {
    this.#renderer = renderer;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  get openFiles(): number {
    return this.#files.size;
  }

  /** Containers with open files. */
  get containers(): number {
    return this.#openByContainer.size;
  }

  /** The entry at an absolute path below the mount. */
  lookup(absolute: string): TreeEntry {
    const [top, container, ...rest] = absolute.split("/").filter(Boolean);
    if (top === undefined) {
      return directory(["containers"]);
    }
    if (top === "containers" && container === undefined) {
      return directory(this.#renderer.list());
    }
    const path = rest.join("/");
    const isBelow = top === "containers" && container !== undefined;
    const node = isBelow ? this.#renderer.look(container, path) : null;
    if (!isBelow || node === null) {
      throw new TreeError("ENOENT");
    }
    return { container, path, ...node };
  }

  /** Names in a directory, without "." and "..". */
  list(path: string): readonly string[] {
    const { names } = this.lookup(path);
    if (names === undefined) {
      throw new TreeError("ENOTDIR");
    }
    return names;
  }

  /** The size of the file if it is opened now. */
  size(file: TreeEntry): number {
    try {
      return this.#recent(file.container, file.path).bytes.length;
    } catch (error) {
      // The file exists, although reading it will fail.
      if (error instanceof TreeError && error.code === "EOPNOTSUPP") {
        return 0;
      }
      throw error;
    }
  }

  /** The target of a symlink. */
  target(path: string): string {
    const { mode, target = "" } = this.lookup(path);
    if ((mode & TYPE) !== LINK) {
      throw new TreeError("EINVAL");
    }
    return target;
  }

  /** As for the kernel's own files, open(O_TRUNC) of a file of procfs changes nothing and succeeds. */
  truncate(path: string): void {
    if (isOfSysfs(this.#file(path))) {
      throw new TreeError("EROFS");
    }
  }

  /** Why a write to a file fails: there are no triggers here, and other files cannot be written. */
  refusal(path: string): "EIO" | "EOPNOTSUPP" | "EROFS" {
    const file = this.#file(path);
    if (isOfSysfs(file)) {
      return "EROFS";
    }
    return (file.mode & 0o222) === 0 ? "EIO" : "EOPNOTSUPP";
  }

  /** Opens a file and returns its handle. */
  open(path: string, writes = false): number {
    const entry = this.#file(path);
    const { container } = entry;
    if (writes && isOfSysfs(entry)) {
      throw new TreeError("EROFS");
    }
    const open = this.#openByContainer.get(container) ?? 0;
    if (open >= this.#options.maxOpenPerContainer) {
      this.refusedOpens += 1;
      throw new TreeError("ENFILE");
    }
    const snapshot = this.#recent(container, entry.path);
    const handle = this.#newHandle();
    this.#files.set(handle, { container, path: entry.path, snapshot, begun: false });
    this.#openByContainer.set(container, open + 1);
    return handle;
  }

  /** The bytes of an open file from `offset`. Reading at offset 0 again takes a new snapshot. */
  read(handle: number, offset: number, size: number): Buffer {
    const file = this.#files.get(handle);
    if (file === undefined) {
      throw new TreeError("EIO");
    }
    if (offset === 0) {
      const isOld = this.#now() - file.snapshot.takenMs > this.#options.tickMs;
      if (file.begun || isOld) {
        this.#renew(file);
      }
      file.begun = true;
    }
    return file.snapshot.bytes.subarray(offset, offset + size);
  }

  release(handle: number): void {
    const file = this.#files.get(handle);
    if (file === undefined) {
      return;
    }
    this.#files.delete(handle);
    const left = (this.#openByContainer.get(file.container) ?? 1) - 1;
    if (left > 0) {
      this.#openByContainer.set(file.container, left);
    } else {
      this.#openByContainer.delete(file.container);
    }
  }

  #file(path: string): TreeEntry {
    const entry = this.lookup(path);
    if (!isFile(entry)) {
      throw new TreeError((entry.mode & TYPE) === DIRECTORY ? "EISDIR" : "EINVAL");
    }
    return entry;
  }

  #newHandle(): number {
    do {
      this.#handle = (this.#handle % MAX_HANDLE) + 1;
    } while (this.#files.has(this.#handle));
    return this.#handle;
  }

  #renew(file: OpenFile): void {
    try {
      file.snapshot = this.#recent(file.container, file.path);
    } catch {
      // The last good snapshot stays.
    }
  }

  /** The snapshot of this tick. A lookup and the open after it share it, so that the size is that of the text. */
  #recent(container: string, path: string): Snapshot {
    const key = `${container}/${path}`;
    const now = this.#now();
    const last = this.#last.get(key);
    if (last !== undefined && now - last.takenMs < this.#options.tickMs) {
      return last;
    }
    const snapshot = { bytes: this.#render(container, path), takenMs: now };
    if (this.#last.size >= MANY_SNAPSHOTS) {
      this.#dropOld(now);
    }
    this.#last.set(key, snapshot);
    return snapshot;
  }

  #dropOld(now: number): void {
    for (const [key, { takenMs }] of this.#last) {
      if (now - takenMs >= this.#options.tickMs) {
        this.#last.delete(key);
      }
    }
  }

  #render(container: string, path: string): Buffer {
    this.renders += 1;
    try {
      return this.#renderer.render(container, path);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ESRCH" || code === "ENOENT") {
        throw new TreeError("ESRCH");
      }
      // Root may open a write-only file of sysfs; reading it fails.
      if (code === "EACCES" && this.#renderer.look(container, path)?.isMirrored) {
        throw new TreeError("EACCES");
      }
      if (code === "EOPNOTSUPP") {
        throw new TreeError("EOPNOTSUPP");
      }
      this.sourceErrors += 1;
      throw new TreeError("EIO");
    }
  }
}
