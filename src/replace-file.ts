import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface NewFile {
  readonly content: string;
  readonly encoding?: "utf8" | "latin1";
  readonly mode: number;
  /** The mode of missing directories above it, which are created. */
  readonly directoryMode: number;
}

/** Replaces a file atomically: programs read or run the old one or the new one, never a part. */
export function replaceFile(path: string, file: NewFile): void {
  const { content, encoding = "utf8", mode, directoryMode } = file;
  mkdirSync(dirname(path), { recursive: true, mode: directoryMode });
  try {
    writeFileSync(`${path}.new`, content, { encoding, mode });
    renameSync(`${path}.new`, path);
  } catch (error) {
    // If the file system is full, a part of the file is left.
    rmSync(`${path}.new`, { force: true });
    throw error;
  }
}
