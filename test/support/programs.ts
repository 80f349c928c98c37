// Small C programs for what shells and Node cannot do. Compiled when first asked for.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { outputSync } from "./command.js";
import { project } from "./project.js";

export type Program =
  | "alarmed"
  | "blocked"
  | "calls"
  | "churn"
  | "container"
  | "counts"
  | "crowd"
  | "drain"
  | "eat"
  | "fault"
  | "filtered"
  | "flood"
  | "ghosts"
  | "hoard"
  | "mounter"
  | "nests"
  | "pages"
  | "pulse"
  | "resend"
  | "syscalls"
  | "syslog"
  | "taken"
  | "threads"
  | "trigger";

const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"];

function compiled(name: string, flags: readonly string[]): string {
  const source = join(project, "test/support/native", `${name}.c`);
  const version = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 12);
  const directory = join(project, "build/test-programs");
  const path = join(directory, `${name}-${version}`);
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true });
    const unfinished = `${path}.${process.pid}`;
    outputSync(["gcc", ...FLAGS, ...flags, "-o", unfinished, source]);
    renameSync(unfinished, path);
  }
  return path;
}

/** The path of a compiled program; below the project, since /tmp is not shared with the VM. */
export function program(name: Program): string {
  // Static: some containers have no libraries.
  return compiled(name, ["-static"]);
}

/** The path of a compiled library for LD_PRELOAD. */
export function preload(name: "nolog" | "shift"): string {
  return compiled(name, ["-shared", "-fPIC"]);
}
