import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

export interface NewFile {
  readonly content: string;
  readonly encoding?: "utf8" | "latin1";
  readonly mode: number;
  /** Of directories above it that are not there. */
  readonly directoryMode: number;
}

/** Writes a file as a whole: whoever reads or runs it has the old one or the new one, never a part. */
export function replaceFile(path: string, file: NewFile): void {
  const { content, encoding = "utf8", mode, directoryMode } = file;
  mkdirSync(dirname(path), { recursive: true, mode: directoryMode });
  try {
    writeFileSync(`${path}.new`, content, { encoding, mode });
    renameSync(`${path}.new`, path);
  } catch (error) {
    // A full file system leaves a part of it.
    rmSync(`${path}.new`, { force: true });
    throw error;
  }
}
