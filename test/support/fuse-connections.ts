import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { output } from "./command.js";
import { temporaryDirectory } from "./daemon.js";
import type { Scope } from "./scope.js";

/**
 * Aborts FUSE connections by their names, the minor numbers of what is mounted; whoever waits for an answer has an
 * error then. Not every host has mounted what the kernel does that by.
 */
export async function fuseAborter(scope: Scope): Promise<(name: string) => void> {
  const directory = temporaryDirectory(scope, "connections");
  await output(["mount", "-t", "fusectl", "none", directory]);
  scope.defer(() => output(["umount", directory]).then(() => undefined));
  return (name) => {
    try {
      writeFileSync(join(directory, name, "abort"), "1");
    } catch {
      // It has ended by itself.
    }
  };
}
