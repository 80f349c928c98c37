import { constants } from "node:os";
import { messageOf, VprocfsError } from "../errors.js";
import { findHolders } from "../holders.js";
import { mountAt, readMounts } from "../mountinfo.js";
import type { NativeBinding, Renderer } from "../native/binding.js";
import type {
  ContainerCounters,
  SessionCounters,
  SessionFeatures,
  SessionMeasures,
} from "../native/session.js";
import type { Engine, EngineFactory, EngineOptions } from "./engine.js";
import {
  type FusePackage,
  loadFusePackage,
  type PackageMount,
  type PackageOperations,
  type PackageOptions,
  type PackageStat,
} from "./fuse-native-package.js";
import { FuseTree, isFile, TreeError } from "./fuse-tree.js";

type Binding = Pick<NativeBinding, "Renderer" | "unmount">;

/** libfuse 2.9 speaks this, whatever the kernel offers. */
const PROTOCOL = { protocolMajor: 7, protocolMinor: 19 } as const;
/** The package copies the path into 1024 bytes. */
const MAX_PATH_BYTES = 1000;
const MOUNT_WITHIN_MS = 10_000;
/** How often to check whether somebody has unmounted it: libfuse does not report that. */
const LOOK_EVERY_MS = 1000;
const BLOCK = 4096;

/** O_ACCMODE of open(2); 0 in it is O_RDONLY. */
const ACCESS_MODE = 3;

/** Counters that need worker threads or FUSE_NOTIFY_RESEND; always 0 here. */
const IDLE = {
  shared: 0,
  waiting: 0,
  deferred: 0,
  paced: 0,
  resent: 0,
  taskPasses: 0,
  taskPassUs: 0,
  triggers: 0,
  threads: 1,
} as const;

/** Operations that would change the tree, with the errors of the native engine. */
const REFUSED = {
  create: "EACCES",
  chmod: "EPERM",
  chown: "EPERM",
  link: "EPERM",
  mkdir: "EPERM",
  mknod: "EPERM",
  rename: "EPERM",
  rmdir: "EPERM",
  symlink: "EPERM",
  unlink: "EPERM",
  utimens: "EPERM",
} as const;

const { errno } = constants;

/** Answers libfuse's requests from a tree, counting them. */
class Answers {
  readonly requests: Record<string, number> = {};
  errors = 0;

  constructor(readonly tree: FuseTree) {}

  /** Runs one operation; what it throws becomes the negative errno. */
  #answer<T>(name: string, work: () => T, done: (code: number, result?: T) => void): void {
    this.requests[name] = (this.requests[name] ?? 0) + 1;
    let result: T;
    try {
      result = work();
    } catch (error) {
      this.errors += 1;
      done(-(error instanceof TreeError ? errno[error.code] : errno.EIO));
      return;
    }
    done(0, result);
  }

  #stat(path: string): PackageStat {
    const entry = this.tree.lookup(path);
    const now = new Date();
    const times = { mtime: now, atime: now, ctime: now, blksize: BLOCK };
    const { mode, uid, gid, links: nlink } = entry;
    const isRendered = isFile(entry) && !entry.isMirrored;
    return {
      ...times,
      mode,
      uid,
      gid,
      nlink,
      size: isRendered ? this.tree.size(entry) : entry.size,
    };
  }

  operations(): PackageOperations {
    const refused = Object.entries(REFUSED).map(([name, code]) => [
      name,
      (...words: ((code: number) => void)[]) => words.at(-1)?.(-errno[code]),
    ]);
    return {
      ...Object.fromEntries(refused),
      // df does not list a file system without blocks.
      statfs: (_path, done) =>
        this.#answer("STATFS", () => ({ bsize: BLOCK, frsize: BLOCK, namemax: 255 }), done),
      getattr: (path, done) => this.#answer("GETATTR", () => this.#stat(path), done),
      readdir: (path, done) =>
        this.#answer("READDIR", () => [".", "..", ...this.tree.list(path)], done),
      readlink: (path, done) => this.#answer("READLINK", () => this.tree.target(path), done),
      open: (path, flags, done) =>
        this.#answer("OPEN", () => this.tree.open(path, (flags & ACCESS_MODE) !== 0), done),
      read: (_path, fd, to, size, offset, done) =>
        this.#answer(
          "READ",
          () => this.tree.read(fd, offset, size).copy(to),
          (code, copied) => done(copied ?? code),
        ),
      release: (_path, fd, done) => this.#answer("RELEASE", () => this.tree.release(fd), done),
      write: (path, _fd, _from, _size, _offset, done) =>
        this.#answer(
          "WRITE",
          () => {
            throw new TreeError(this.tree.refusal(path));
          },
          done,
        ),
      truncate: (path, _size, done) =>
        this.#answer(
          "TRUNCATE",
          () => this.tree.truncate(path),
          (code) => done(code),
        ),
    };
  }
}

function packageOptions(options: EngineOptions): PackageOptions {
  const [, subtype] = options.fsType.split(/^fuse\./);
  return {
    // The package has no options for these two, but passes on what follows a comma.
    fsname: `${options.source},direct_io,noexec`,
    ...(subtype === undefined ? {} : { subtype }),
    allowOther: true,
    defaultPermissions: true,
    attrTimeout: "0",
    entryTimeout: "0",
    timeout: false,
  };
}

function isMounted(mountpoint: string): boolean {
  return mountAt(readMounts(), mountpoint) !== undefined;
}

/** The tree `containers/<id>/...`, served by npm's fuse-native on the JavaScript thread. */
class FuseNativeEngine implements Engine {
  readonly name = "fuse-native";
  readonly #package: FusePackage;
  readonly #binding: Binding;
  readonly #options: EngineOptions;
  readonly #renderer: Renderer;
  readonly #answers: Answers;
  #mount: PackageMount | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(fusePackage: FusePackage, binding: Binding, options: EngineOptions) {
    this.#package = fusePackage;
    this.#binding = binding;
    this.#options = options;
    this.#renderer = new binding.Renderer(options.tickMs, options.bpf);
    this.#answers = new Answers(new FuseTree(this.#renderer, options));
  }

  async start(): Promise<void> {
    const { mountpoint, onEnd } = this.#options;
    if (Buffer.byteLength(mountpoint) > MAX_PATH_BYTES) {
      throw new VprocfsError("MOUNTPOINT", "engine fuse-native: the mount point is too long");
    }
    // The package's own function would pass the path to a shell.
    this.#package.unmount = (path, done) => {
      this.#binding.unmount(path);
      done(null);
    };
    this.#mount = new this.#package(
      mountpoint,
      this.#answers.operations(),
      packageOptions(this.#options),
    );
    await this.#mounted(this.#mount);
    this.#watch = setInterval(() => {
      if (!isMounted(mountpoint)) {
        this.#close();
        onEnd("unmounted");
      }
    }, LOOK_EVERY_MS);
    this.#watch.unref();
    this.#options.onServing();
  }

  #mounted(mount: PackageMount): Promise<void> {
    const { mountpoint } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (reason: string, cause?: Error): void => {
        const message = `${mountpoint}: engine fuse-native cannot mount: ${reason}`;
        reject(new VprocfsError("FUSE", message, { cause }));
      };
      const late = setTimeout(() => fail("libfuse does not answer"), MOUNT_WITHIN_MS);
      mount.mount((error) => {
        clearTimeout(late);
        if (error === null || error === undefined) {
          resolve();
        } else {
          fail(messageOf(error), error);
        }
      });
    });
  }

  #close(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  async stop(unmount: boolean): Promise<boolean> {
    this.#close();
    const mount = this.#mount;
    this.#mount = undefined;
    if (mount === undefined || !unmount) {
      return false;
    }
    const isBusy = findHolders(this.#options.mountpoint).length > 0;
    await new Promise<void>((resolve, reject) => {
      mount.unmount((error) => (error ? reject(error) : resolve()));
    });
    return isBusy;
  }

  counters(): SessionCounters {
    const { tree, requests, errors } = this.#answers;
    const { renders, sourceErrors, refusedOpens, openFiles, containers } = tree;
    const own = { renders, errors, sourceErrors, refusedOpens, openFiles, containers };
    return { requests, ...own, ...IDLE };
  }

  measures(): SessionMeasures {
    return { requests: [], times: [] };
  }

  async containers(): Promise<ContainerCounters[]> {
    return [];
  }

  features(): SessionFeatures {
    const none = { resend: false, maxReadahead: 0, tick: false, stateIgnored: "" };
    return { ...PROTOCOL, ...none, taskCounter: "", taskCounterFallback: "" };
  }
}

/**
 * An independent implementation over libfuse 2. Throws a VprocfsError where the package or libfuse
 * is missing.
 */
export function fuseNativeEngine(
  binding: Binding,
  fusePackage: FusePackage = loadFusePackage(),
): EngineFactory {
  return (options) => {
    if (options.consistency === "tick" || options.inherit !== undefined) {
      const what = options.inherit === undefined ? "consistency tick" : "a keeper";
      throw new VprocfsError("CONFIG", `engine fuse-native cannot do ${what}`);
    }
    return new FuseNativeEngine(fusePackage, binding, options);
  };
}
