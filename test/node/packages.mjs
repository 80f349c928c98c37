// What scenarios install on a node, and what they read its files with.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What a program writes; throws with its last line when it fails. */
function output(what, argv, { env = {}, cwd = project } = {}) {
  const { status, stdout, stderr, error } = spawnSync(argv[0], argv.slice(1), {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) {
    throw new Error(`${what}: ${error?.message ?? stderr.trim().split("\n").pop()}`);
  }
  return stdout;
}

/**
 * The packages that scenarios install, of today and of a later version, and readers to compile. Those for
 * another architecture are compiled by its compilers here, of the same sources and by the same script.
 */
export function buildPackages(kind, directory) {
  mkdirSync(directory, { recursive: true });
  const foreign = kind.arch !== process.arch;
  const tools = { STRIP: `${kind.tools}strip`, OBJDUMP: `${kind.tools}objdump` };
  const env = foreign ? tools : {};
  const programs = foreign
    ? ["--architecture", kind.arch, "--programs", compiled(kind, join(directory, "compiled"))]
    : [];
  const build = (age, version) => {
    const script = join(project, "packaging/debian/build.mjs");
    const node = kind.needsNode ? ["--with-node"] : [];
    const options = ["--version", version, "--compression", "gzip", ...node, ...programs];
    const argv = [process.execPath, script, "--output", join(directory, age), ...options];
    return output("the package does not build", argv, { env }).trim().split("\n");
  };
  const storm = join(directory, "storm");
  const flags = ["-std=c++17", "-O2", "-pthread", "-static", "-o", storm];
  const source = join(project, "test/support/native/storm.cc");
  const compiler = foreign ? `${kind.tools}g++` : "g++";
  output("the readers do not compile", [compiler, ...flags, source]);
  return { old: build("old", "0.1.0+1"), new: build("new", "0.1.0+2"), storm };
}

/** The directory of the addon and the programs, compiled for another architecture. */
function compiled(kind, directory) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const name of ["native", "binding.gyp", "package.json"]) {
    cpSync(join(project, name), join(directory, name), { recursive: true });
  }
  symlinkSync(join(project, "node_modules"), join(directory, "node_modules"));
  const ccache = spawnSync("ccache", ["--version"]).status === 0 ? "ccache " : "";
  const env = {
    CC: `${ccache}${kind.tools}gcc`,
    CXX: `${ccache}${kind.tools}g++`,
    AR: `${kind.tools}ar`,
    CCACHE_BASEDIR: directory,
  };
  const gyp = join(project, "node_modules/.bin/node-gyp");
  const headers = spawnSync("test", ["-e", "/usr/include/node/node_version.h"]).status === 0;
  const argv = [gyp, "rebuild", `--arch=${kind.arch}`, "--jobs=max", "--loglevel=warn"];
  const nodedir = headers ? ["--nodedir=/usr"] : [];
  output("the addon does not compile", [...argv, ...nodedir], { env, cwd: directory });
  return join(directory, "build/Release");
}
