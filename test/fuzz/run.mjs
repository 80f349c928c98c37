#!/usr/bin/env node
// Builds the fuzz targets with clang's AddressSanitizer and UBSan, and runs each for a while.
//
//   npm run fuzz -- [--seconds N] [--target NAME]
//
// --seconds: for each target, 60 unless told otherwise. Corpora lie in build/fuzz/corpus/NAME and begin
// with the recorded hosts of test/fixtures; an input that breaks a target is kept in build/fuzz/found/.
// Exit status: 1 when something was found, 2 when the targets cannot be built or an argument is wrong.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const project = dirname(dirname(here));
const out = join(project, "build/fuzz");
const MAX_SEED = 64 * 1024;

/** Parsers of parsers.cc before those of host_files.def. */
const OTHER_PARSERS = 13;
const hostFiles = readFileSync(join(project, "native/facts/host_files.def"), "utf8").matchAll(
  /^VPROCFS_HOST_FILE\([^"]*"([^"]+)"/gm,
);

/** What parsers.cc does with an input that begins with this byte, by the name of the file. */
const PARSERS = {
  meminfo: 0,
  stat: 1,
  cpuinfo: 2,
  "io.stat": 3,
  "io.max": 4,
  "blkio.throttle.io_service_bytes_recursive": 5,
  cgroup: 6,
  "cpuset.cpus.effective": 7,
  status: 12,
  ...Object.fromEntries([...hostFiles].map(([, path], i) => [basename(path), OTHER_PARSERS + i])),
};

/** A FUSE request as fuse.cc takes it apart: opcode, node, caller, length of the payload, payload. */
function request(opcode, node, payload) {
  return Buffer.concat([Buffer.from([opcode, node, 0, payload.length]), payload]);
}

const SEEDS = {
  fuse: [
    request(1, 1, Buffer.from("proc\0")),
    request(3, 64 + 1, Buffer.alloc(16)),
    Buffer.concat([request(14, 64 + 1, Buffer.alloc(8)), request(15, 64 + 1, Buffer.alloc(40, 1))]),
    request(16, 64 + 20, Buffer.concat([Buffer.alloc(40), Buffer.from("some 150000 1000000")])),
    request(28, 128, Buffer.alloc(40, 1)),
    request(40, 64 + 20, Buffer.alloc(24)),
    request(42, 1, Buffer.alloc(16)),
  ],
  hook: [
    Buffer.from('\0{"ociVersion":"1.0.2","id":"a","pid":4,"annotations":{"vprocfs.attach":"off"}}'),
    Buffer.from("\x01lxc.environment = VPROCFS=off\n"),
  ],
  json: [Buffer.from('{"a":[1,"\\u00e9\\ud83d\\ude00",true,null],"b":{"c":-1.5e3}}')],
  keeper: [Buffer.concat([Buffer.from([1, 24, 21, 0, 0, 0, 1, 0, 0, 0]), Buffer.alloc(14, 7)])],
  klog: [Buffer.alloc(13, 1)],
  mounts: [
    Buffer.from("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"),
  ],
  parsers: [
    Buffer.from(
      "\x08oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0," +
        "oom_memcg=/a,task_memcg=/a/b,task=eat,pid=42,uid=0",
    ),
  ],
  seccomp: [
    Buffer.from('\x01{"ociVersion":"1.0.2","fds":["seccompFd"],"pid":4,"state":{"id":"a"}}'),
    Buffer.alloc(200),
  ],
  state: [
    Buffer.alloc(13, 1),
    // A length within a record: taken for a record's once that one was released, for ever.
    Buffer.from("1700110000ffffffffff0720", "hex"),
  ],
};

function plant(directory, bytes) {
  const name = createHash("sha1").update(bytes).digest("hex");
  writeFileSync(join(directory, name), bytes.subarray(0, MAX_SEED));
}

/** The texts of recorded hosts, each with the byte that chooses its parser. */
function plantRecorded() {
  const root = join(project, "test/fixtures");
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() || path.includes("/expected/")) {
      continue;
    }
    if (entry.name === "mountinfo") {
      plant(join(out, "corpus/mounts"), readFileSync(path));
    }
    const parser = PARSERS[basename(path)];
    if (parser !== undefined) {
      plant(join(out, "corpus/parsers"), Buffer.concat([Buffer.of(parser), readFileSync(path)]));
    }
  }
}

/** Recorded kernel logs, as text. */
function plantLogs() {
  const root = join(project, "test/source/kernel-log");
  for (const name of readdirSync(root).filter((file) => file.endsWith(".log"))) {
    plant(join(out, "corpus/klog"), Buffer.concat([Buffer.of(0), readFileSync(join(root, name))]));
  }
}

function usage(problem) {
  console.error(`fuzz: ${problem}; usage: npm run fuzz -- [--seconds N] [--target NAME]`);
  process.exit(2);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: { seconds: { type: "string", default: "60" }, target: { type: "string" } },
    });
    return values;
  } catch (error) {
    return usage(error.message);
  }
}

const { seconds, target } = readArguments();
if (!/^[1-9]\d{0,5}$/.test(seconds)) {
  usage(`--seconds takes a whole number from 1 to 999999, not '${seconds}'`);
}
if (target !== undefined && SEEDS[target] === undefined) {
  usage(`there is no target '${target}': ${Object.keys(SEEDS).join(", ")}`);
}
const names = target === undefined ? Object.keys(SEEDS) : [target];

mkdirSync(join(out, "found"), { recursive: true });
const programs = names.map((name) => `${out}/fuzz-${name}`);
const built = spawnSync("make", ["-s", "-j2", "-C", here, `OUT=${out}`, ...programs], {
  stdio: "inherit",
});
if (built.status !== 0) {
  console.error("fuzz: the targets cannot be built: they need make, clang and libclang-rt-dev");
  process.exit(2);
}
for (const [name, seeds] of Object.entries(SEEDS)) {
  mkdirSync(join(out, "corpus", name), { recursive: true });
  for (const seed of seeds) {
    plant(join(out, "corpus", name), seed);
  }
}
plantRecorded();
plantLogs();

let found = 0;
for (const name of names) {
  const argv = [
    `-max_total_time=${seconds}`,
    "-timeout=25",
    "-rss_limit_mb=4096",
    "-print_final_stats=1",
    `-artifact_prefix=${out}/found/${name}-`,
    join(out, "corpus", name),
  ];
  const env = { ...process.env, ASAN_OPTIONS: "detect_leaks=0" };
  const end = spawnSync(join(out, `fuzz-${name}`), argv, {
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  const runs = /number_of_executed_units:\s*(\d+)/.exec(end.stderr)?.[1] ?? "0";
  if (end.status === 0) {
    console.log(`ok   ${name}: ${runs} runs`);
    continue;
  }
  found += 1;
  console.log(`FAIL ${name}: ${end.error?.message ?? end.stderr.slice(-4000)}`);
}
console.log(`${names.length - found} passed, ${found} failed`);
process.exitCode = found === 0 ? 0 : 1;
