import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";

/** The first process of the container in a made-up tree. */
export const INIT = 100;

function write(directory: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${text.trimEnd()}\n`);
  }
}

const ids = (count: number): number[] => Array.from({ length: count }, (_, id) => id);

/** This machine's first CPU, `count` times over. */
function cpuinfo(count: number): string {
  const [block = ""] = readFileSync("/proc/cpuinfo", "utf8").split("\n\n");
  return ids(count)
    .map((id) => `${block.replace(/^(processor\s*: )\d+/, `$1${id}`)}\n\n`)
    .join("");
}

/** This machine's stat with `count` CPUs. */
function stat(count: number): string {
  const lines = readFileSync("/proc/stat", "utf8").split("\n");
  const [first = "", ...rest] = lines.filter((line) => line.startsWith("cpu"));
  const perCpu = rest[0]?.replace(/^cpu\d+/, "") ?? "";
  const others = lines.filter((line) => !line.startsWith("cpu"));
  return [first, ...ids(count).map((id) => `cpu${id}${perCpu}`), ...others].join("\n");
}

/** The 52 fields of its stat: 0 but for those that say who it is and when it started (proc(5)). */
function processStat(): string {
  const [state, startTime, fields] = [3, 22, 52];
  const rest = Array.from({ length: fields - state }, (_, i) =>
    i + state + 1 === startTime ? 1000 : 0,
  );
  return `${INIT} (init) S ${rest.join(" ")}`;
}

/** A machine with so many CPUs and one container on cgroup v2 that may use them all. */
export function makeTree(directory: string, cpus: number): void {
  const all = `0-${cpus - 1}`;
  write(join(directory, "proc"), {
    cpuinfo: cpuinfo(cpus),
    stat: stat(cpus),
    meminfo: readFileSync("/proc/meminfo", "utf8"),
    swaps: readFileSync("/proc/swaps", "utf8"),
    [`${INIT}/stat`]: processStat(),
    [`${INIT}/cgroup`]: "0::/box",
    [`${INIT}/status`]: `Name:\tinit\nNSpid:\t${INIT}\t1`,
  });
  write(join(directory, "sys", "devices", "system", "cpu"), {
    online: all,
    possible: all,
    present: all,
  });
  const controllers = "cpuset cpu memory";
  write(join(directory, "cgroup"), {
    "cgroup.controllers": controllers,
    "cgroup.procs": "",
    "cgroup.subtree_control": controllers,
    "cpuset.cpus.effective": all,
    "box/cgroup.controllers": controllers,
    "box/cgroup.procs": `${INIT}`,
    "box/cpuset.cpus.effective": all,
    "box/cpu.max": "max 100000",
    "box/cpu.stat":
      "usage_usec 90000000\nuser_usec 60000000\nsystem_usec 30000000\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0",
    "box/memory.max": "268435456",
    "box/memory.current": "100000000",
    "box/memory.stat": "anon 50000000\nfile 40000000",
    "box/memory.swap.max": "max",
    "box/memory.swap.current": "0",
  });
}

type Render = (tree: string, path: string, init: number, nowUs: bigint) => string;

const addonSchema = z.object({
  renderFixture: z.custom<Render>((value) => typeof value === "function"),
});

/**
 * Renders files from a tree with the code of the vprocfs at `cli`. Undefined if that has no addon for unit tests, which
 * only `node packaging/setup.mjs test` builds.
 */
export function renderer(cli: string): Render | undefined {
  const addon = join(dirname(cli), "..", "build", "Release", "vprocfs_testing.node");
  try {
    const loaded: unknown = createRequire(import.meta.url)(addon);
    return addonSchema.parse(loaded).renderFixture;
  } catch {
    return undefined;
  }
}
