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
  | "older"
  | "pages"
  | "plug"
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
const CXX_FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-static"];
const NATIVE = join(project, "native");

/** A source, and all of ours that it includes. */
function withIncluded(source: string, found = new Set<string>()): Set<string> {
  if (!found.has(source)) {
    found.add(source);
    for (const [, name = ""] of readFileSync(source, "utf8").matchAll(/^#include "(.*)"$/gm)) {
      const places = [dirname(source), NATIVE].map((directory) => join(directory, name));
      withIncluded(places.find((place) => existsSync(place)) ?? places[0] ?? "", found);
    }
  }
  return found;
}

/** What a compiler makes of sources, kept until one of these or the command changes. */
function built(name: string, command: readonly string[], sources: readonly string[]): string {
  const hash = createHash("sha256").update(command.join("\0"));
  for (const file of new Set(sources.flatMap((source) => [...withIncluded(source)]))) {
    hash.update(readFileSync(file));
  }
  const directory = join(project, "build/test-programs");
  const path = join(directory, `${name}-${hash.digest("hex").slice(0, 12)}`);
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true });
    const unfinished = `${path}.${process.pid}`;
    outputSync([...command, "-o", unfinished, ...sources]);
    renameSync(unfinished, path);
  }
  return path;
}

function compiled(name: string, flags: readonly string[]): string {
  const source = join(project, "test/support/native", `${name}.c`);
  return built(name, ["gcc", ...FLAGS, ...flags], [source]);
}

/** The same of C++, for which there may be no compiler; with sources of native/ that it is to have. */
export function cxxProgram(name: "storm" | "tick_reader", ...more: readonly string[]): string {
  const sources = [
    join(project, "test/support/native", `${name}.cc`),
    ...more.map((source) => join(NATIVE, source)),
  ];
  return built(name, ["g++", ...CXX_FLAGS, `-I${NATIVE}`], sources);
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
