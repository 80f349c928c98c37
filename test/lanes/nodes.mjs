// The other versions of Node.js that vprocfs runs on: their official programs, from npm's registry.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { project } from "./processes.mjs";

const VERSIONS = JSON.parse(readFileSync(join(project, "test/lanes/nodes.json"), "utf8"));
const directory = join(project, "build/node-versions");

function run(argv) {
  const { status, stderr, error } = spawnSync(argv[0], argv.slice(1), {
    cwd: directory,
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new Error(`${argv.join(" ")}: ${error?.message ?? stderr.trim().split("\n").pop()}`);
  }
}

/** The program of a version, fetched once. Throws when it cannot be had, or is another than it was. */
function programOf(version, integrity) {
  const program = join(directory, version, "package/bin/node");
  if (existsSync(program)) {
    return program;
  }
  const name = `node-linux-${process.arch}`;
  const file = join(directory, `${name}-${version}.tgz`);
  mkdirSync(directory, { recursive: true });
  run(["npm", "pack", `${name}@${version}`, "--silent"]);
  const sum = createHash("sha512").update(readFileSync(file)).digest("base64");
  if (`sha512-${sum}` !== integrity) {
    throw new Error(`${name}@${version} is not what test/lanes/nodes.json says: its hash differs`);
  }
  const unfinished = join(directory, `unfinished-${version}`);
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  run(["tar", "-C", unfinished, "-xzf", file, "package/bin/node"]);
  renameSync(unfinished, join(directory, version));
  rmSync(file);
  return program;
}

/** Each other version as its number and its program, or why it cannot be had. */
export function otherNodes() {
  return Object.entries(VERSIONS).map(([version, integrity]) => {
    try {
      const wanted = integrity[process.arch];
      if (wanted === undefined) {
        throw new Error(`no Node.js ${version} for ${process.arch} in test/lanes/nodes.json`);
      }
      return { version, program: programOf(version, wanted) };
    } catch (error) {
      return { version, reason: error.message };
    }
  });
}
