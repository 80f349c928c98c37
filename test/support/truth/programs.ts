// Programs of ours that tell what C libraries and runtimes say: compiled where their compiler is installed.

import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { haveProgram, outputSync } from "../command.js";
import { program } from "../programs.js";
import { project } from "../project.js";

export const GO_PROGRAM = "/cpus-go";
const GO_SOURCE = `package main
import ("fmt"; "runtime")
func main() { fmt.Println(runtime.NumCPU(), runtime.GOMAXPROCS(0)) }
`;

export const COUNTS_PROGRAM = "/counts";

export const MUSL_PROGRAM = "/size-musl";
const MUSL_SOURCE = `#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void) {
  double load = -1, file = -1;
  getloadavg(&load, 1);
  FILE *f = fopen("/proc/loadavg", "r");
  if (f == NULL || fscanf(f, "%lf", &file) != 1) return 1;
  printf("%f %f %f %ld\\n", (double)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 1048576,
         load, file, sysconf(_SC_NPROCESSORS_ONLN));
  printf("%ld\\n", sysconf(_SC_NPROCESSORS_CONF));
  return 0;
}
`;

/** A program of ours that is compiled where its compiler is installed. */
interface Compiled {
  readonly compiler: string;
  readonly source: string;
  readonly suffix: string;
  /** Where it lies in the container. */
  readonly path: string;
  /** The command line that makes `program` of `source`; `scratch` is removed afterwards. */
  readonly build: (program: string, source: string, scratch: string) => readonly string[];
}

const COMPILED: readonly Compiled[] = [
  {
    compiler: "go",
    source: GO_SOURCE,
    suffix: ".go",
    path: GO_PROGRAM,
    build: (program, source, scratch) => [
      ...["env", `GOCACHE=${scratch}`, "CGO_ENABLED=0", "GO111MODULE=off"],
      ...["go", "build", "-o", program, source],
    ],
  },
  {
    compiler: "musl-gcc",
    source: MUSL_SOURCE,
    suffix: ".c",
    path: MUSL_PROGRAM,
    build: (program, source) => ["musl-gcc", "-O2", "-static", "-o", program, source],
  },
];

function putProgram(init: number, { compiler, source, suffix, path, build }: Compiled): void {
  if (!haveProgram(compiler)) {
    return;
  }
  const directory = join(project, "build/test-programs");
  const built = join(directory, path);
  const isBuilt = existsSync(built) && readFileSync(built + suffix, "utf8") === source;
  if (!isBuilt) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(built + suffix, source);
    const scratch = join(directory, "scratch");
    outputSync(build(built, built + suffix, scratch));
    rmSync(scratch, { recursive: true, force: true });
  }
  copyFileSync(built, `/proc/${init}/root${path}`);
}

/** Puts all that can be compiled here into a container. */
export function putPrograms(init: number): void {
  for (const compiled of COMPILED) {
    putProgram(init, compiled);
  }
  copyFileSync(program("counts"), `/proc/${init}/root${COUNTS_PROGRAM}`);
}
