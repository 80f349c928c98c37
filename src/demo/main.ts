// Makes a limited container without a container runtime, shows the host's figures and the container's side by
// side, and leaves nothing behind.

import Table from "cli-table3";
import { VprocfsError } from "../errors.js";
import { readMounts } from "../mountinfo.js";
import { describeError } from "../program.js";
import { formatBytes } from "../text.js";
import { type Cgroups, createCgroups, type Limits } from "./cgroups.js";
import { runContainer } from "./container.js";
import { figures, hostFiles } from "./figures.js";
import { findTree, type Tree } from "./tree.js";

const MIB = 1024 * 1024;
const LIMITS: Limits = { memoryBytes: 256 * MIB, swapBytes: 128 * MIB, cpus: 1.5 };

function swapLimit(limitsSwap: boolean, host: string): string {
  if (!limitsSwap) {
    return "not accounted here";
  }
  const limit = formatBytes(LIMITS.swapBytes);
  return host === formatBytes(0) ? `${limit}, the host has none` : limit;
}

/** The "limit" column of a row. */
function limitFor(label: string, limitsSwap: boolean, host: string): string {
  const limits: Readonly<Record<string, string>> = {
    memory: formatBytes(LIMITS.memoryBytes),
    "swap (meminfo)": swapLimit(limitsSwap, host),
    "CPUs (cpuinfo)": `${LIMITS.cpus} (quota)`,
  };
  return limits[label] ?? "";
}

function compare(inside: ReadonlyMap<string, string>, limitsSwap: boolean): string {
  const table = new Table({
    head: ["", "host sees", "container's limit", "container sees"],
    colAligns: ["left", "right", "right", "right"],
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
    style: { head: [], border: [] },
  });
  for (const [label, host = "", container = ""] of figures(hostFiles(), inside)) {
    table.push([label, host, limitFor(label, limitsSwap, host), container]);
  }
  return table.toString();
}

function describe(tree: Tree, cgroups: Cgroups): string {
  const server = tree.isOwn ? "a vprocfs started for this" : "the running vprocfs";
  return `One container, cgroup ${cgroups.layout}, seen through ${server} on ${tree.path}:`;
}

async function demo(signal: AbortSignal): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new VprocfsError("NOT_ROOT", "the demo must be run as root");
  }
  const name = `vprocfs-demo-${process.pid}`;
  const cgroups = await createCgroups(name, LIMITS, readMounts());
  try {
    const tree = await findTree(name, signal);
    try {
      console.log(describe(tree, cgroups));
      const inside = await runContainer(cgroups.directories, tree.path, signal);
      console.log(compare(inside, cgroups.limitsSwap));
    } finally {
      await tree.release();
    }
  } finally {
    await cgroups.remove();
  }
}

const abort = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => abort.abort(new VprocfsError("SYSTEM", "interrupted")));
}
try {
  await demo(abort.signal);
} catch (error) {
  process.stderr.write(`vprocfs demo: ${describeError(error).line}\n`);
  process.exitCode = 1;
}
