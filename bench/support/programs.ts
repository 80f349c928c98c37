import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory, projectDirectory } from "./paths.js";

/** The native programs of the benchmark, as paths. */
export interface Programs {
  /** Reads and measures. */
  readonly load: string;
  /** Makes containers and removes them. */
  readonly stage: string;
  /** A FUSE server that does nothing but answer. */
  readonly floor: string;
  /** Crashes in a container, so that the kernel logs faults. */
  readonly crash: string;
}

const SOURCES: Readonly<Record<keyof Programs, readonly string[]>> = {
  load: ["load.cc", "options.cc", "worker.cc", "enter.cc"],
  stage: ["stage.cc", "init.cc"],
  floor: ["floor.cc", "sources.cc"],
  crash: ["crash.cc", "enter.cc"],
};

const FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pthread"];

function run(
  [program = "", ...first]: readonly string[],
  args: readonly string[],
  out: 2 | "pipe",
) {
  return execFileSync(program, [...first, ...args], { stdio: ["ignore", out, 2] });
}

/** Changes whenever the sources, the flags or the compiler do. */
function fingerprint(compiler: readonly string[], directory: string): string {
  const hash = createHash("sha256").update(run(compiler, ["--version"], "pipe"));
  hash.update(JSON.stringify([FLAGS, SOURCES, process.arch]));
  for (const name of readdirSync(directory).sort()) {
    hash.update(name).update(readFileSync(join(directory, name)));
  }
  return hash.digest("hex").slice(0, 16);
}

/** Builds the programs that are not in the cache yet. */
export function buildPrograms(): Programs {
  // As for make, it may be a command with arguments: "ccache g++".
  const compiler = (process.env.CXX ?? "g++").trim().split(/\s+/);
  const sources = join(projectDirectory(), "bench", "load");
  const directory = join(cacheDirectory(), fingerprint(compiler, sources));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const build = (name: keyof Programs): string => {
    const program = join(directory, name);
    if (!existsSync(program)) {
      // Built under another name first, so that an interrupted build leaves no incomplete program.
      const partial = `${program}.${process.pid}`;
      const files = SOURCES[name].map((file) => join(sources, file));
      run(compiler, [...FLAGS, "-o", partial, ...files], 2);
      renameSync(partial, program);
    }
    return program;
  };
  return {
    load: build("load"),
    stage: build("stage"),
    floor: build("floor"),
    crash: build("crash"),
  };
}
