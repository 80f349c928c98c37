// Block devices as the kernel tells them.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** "254:0" of the device that a directory is on (include/linux/kdev_t.h, as stat(2) has it). */
export function deviceOf(path: string): string {
  const { dev } = statSync(path, { bigint: true });
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  return `${major}:${minor}`;
}

/** The whole disk: cgroups do not count for partitions. */
export function diskOf(number: string): { readonly number: string; readonly name: string } {
  const isPartition = existsSync(`/sys/dev/block/${number}/partition`);
  const directory = `/sys/dev/block/${number}${isPartition ? "/.." : ""}`;
  const uevent = readFileSync(join(directory, "uevent"), "utf8");
  const name = /^DEVNAME=(.*)$/m.exec(uevent)?.[1] ?? "";
  return { number: readFileSync(join(directory, "dev"), "utf8").trim(), name };
}
