import { createRequire } from "node:module";
import { messageOf, VprocfsError } from "../errors.js";

/** The result of stat(2) in the form of the package. */
export interface PackageStat {
  readonly mode: number;
  readonly size: number;
  readonly nlink: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly blksize: number;
  readonly mtime: Date;
  readonly atime: Date;
  readonly ctime: Date;
}

type Done = (errno: number) => void;

/** The operations of npm's fuse-native that we answer; errors are negative errno values. */
export interface PackageOperations {
  statfs(path: string, done: (errno: number, figures?: Record<string, number>) => void): void;
  getattr(path: string, done: (errno: number, stat?: PackageStat) => void): void;
  readdir(path: string, done: (errno: number, names?: readonly string[]) => void): void;
  readlink(path: string, done: (errno: number, target?: string) => void): void;
  open(path: string, flags: number, done: (errno: number, fd?: number) => void): void;
  /** `done` takes how many bytes were put into `to`, or an error. */
  read(path: string, fd: number, to: Buffer, size: number, offset: number, done: Done): void;
  release(path: string, fd: number, done: Done): void;
  write(path: string, fd: number, from: Buffer, size: number, offset: number, done: Done): void;
  truncate(path: string, size: number, done: Done): void;
  readonly [refused: string]: (...words: never[]) => void;
}

/** Mount options; those that are not listed are not used. */
export interface PackageOptions {
  readonly fsname: string;
  readonly subtype?: string;
  readonly allowOther: boolean;
  readonly defaultPermissions: boolean;
  /** Seconds. As text, since the package leaves a number 0 out. */
  readonly attrTimeout: string;
  readonly entryTimeout: string;
  /** Per operation; false: none. */
  readonly timeout: false;
}

type Failed = (error: Error | null | undefined) => void;

export interface PackageMount {
  mount(done: Failed): void;
  unmount(done: Failed): void;
}

export interface FusePackage {
  new (mountpoint: string, operations: PackageOperations, options: PackageOptions): PackageMount;
  /** The function that unmount() of an instance calls first. */
  unmount: (mountpoint: string, done: (error: Error | null) => void) => void;
}

function isPackage(value: unknown): value is FusePackage {
  return typeof value === "function" && "unmount" in value;
}

/** Loads the package, and with it libfuse 2; a VprocfsError says in one line what is missing. */
export function loadFusePackage(
  load: (name: string) => unknown = createRequire(import.meta.url),
): FusePackage {
  try {
    const loaded = load("fuse-native");
    if (isPackage(loaded)) {
      return loaded;
    }
  } catch (error) {
    const message = messageOf(error);
    if (message.includes("libfuse.so.2")) {
      throw new VprocfsError(
        "FUSE",
        "engine fuse-native: there is no libfuse.so.2: install the package libfuse2, or use --engine native",
        { cause: error },
      );
    }
    const isAbsent = message.startsWith("Cannot find module 'fuse-native'");
    const reason = isAbsent ? "is not installed: run 'npm install fuse-native'" : message;
    throw new VprocfsError("FUSE", `engine fuse-native: the npm package ${reason}`, {
      cause: error,
    });
  }
  throw new VprocfsError("FUSE", "engine fuse-native: the npm package has an unknown version");
}
