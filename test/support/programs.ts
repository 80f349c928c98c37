// Small C programs for what shells and Node cannot do. Compiled when first asked for.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
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
  | "disturb"
  | "drain"
  | "eat"
  | "fault"
  | "filtered"
  | "flood"
  | "forger"
  | "ghosts"
  | "grow"
  | "hoard"
  | "hold"
  | "listeners"
  | "mounter"
  | "nests"
  | "pages"
  | "pulse"
  | "relimit"
  | "resend"
  | "runtime"
  | "stall"
  | "syscalls"
  | "syslog"
  | "taken"
  | "threads"
  | "trigger";

const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"];

function compiled(name: string, flags: readonly string[]): string {
  const source = join(project, "test/support/native", `${name}.c`);
  const text = readFileSync(source, "utf8");
  const headers = [...text.matchAll(/^#include "(.*)"$/gm)].map(([, name = ""]) => name);
  const all = headers.map((header) => readFileSync(join(dirname(source), header), "utf8"));
  const version = createHash("sha256")
    .update([text, ...all].join(""))
    .digest("hex")
    .slice(0, 12);
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

/** What LD_PRELOAD is with a compiled library, after what is preloaded now: a sanitizer's is the first. */
function preloaded(name: "nolog" | "shift"): string {
  const now = process.env.LD_PRELOAD ?? "";
  return [now, compiled(name, ["-shared", "-fPIC"])].filter((one) => one !== "").join(":");
}

/** Starts something that has a compiled library preloaded, and these variables; then all is as before. */
export async function withPreload<T>(
  name: "nolog" | "shift",
  variables: Readonly<Record<string, string>>,
  start: () => Promise<T>,
): Promise<T> {
  const environment = { ...variables, LD_PRELOAD: preloaded(name) };
  const before = Object.keys(environment).map((one) => [one, process.env[one]] as const);
  Object.assign(process.env, environment);
  try {
    return await start();
  } finally {
    for (const [one, value] of before) {
      if (value === undefined) {
        delete process.env[one];
      } else {
        process.env[one] = value;
      }
    }
  }
}
