import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

interface NewFile {
  readonly content: string;
  readonly encoding?: "utf8" | "latin1";
  readonly mode: number;
  /** The mode of missing directories above it, which are created. */
  readonly directoryMode: number;
}

/** Writes a file to the disk, not only to the kernel's cache. */
function writeThrough(path: string, { content, encoding = "utf8", mode }: NewFile): void {
  const fd = openSync(path, "w", mode);
  try {
    // Whatever the umask: LXC starts no container of a user who cannot read one of its files.
    fchmodSync(fd, mode);
    writeFileSync(fd, content, { encoding });
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes a directory and those above it that are missing, whatever the umask. */
function makeDirectories(path: string, mode: number): void {
  const first = mkdirSync(path, { recursive: true, mode });
  if (first === undefined) {
    return;
  }
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    chmodSync(made, mode);
  }
}

/**
 * Replaces a file atomically: programs read or run the old one or the new one, never a part, also after a loss of
 * power. Most file systems would have the new name before the content: an empty hook keeps containers from starting.
 */
export function replaceFile(path: string, file: NewFile): void {
  makeDirectories(dirname(path), file.directoryMode);
  try {
    writeThrough(`${path}.new`, file);
    renameSync(`${path}.new`, path);
  } catch (error) {
    // If the file system is full, a part of the file is left.
    rmSync(`${path}.new`, { force: true });
    throw error;
  }
}
