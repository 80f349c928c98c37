import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processTree, taskDirectories } from "./daemon.js";

/** System calls by name, with how often each was made. */
type SyscallCounts = Readonly<Record<string, number>>;

const ATTACH_TRIES = 200;
const ATTACH_EVERY_MS = 20;

/** Why system calls cannot be counted here; undefined: they can. */
export function straceUnavailable(): string | undefined {
  const result = spawnSync("strace", ["-c", "-o", "/dev/null", "true"], { encoding: "utf8" });
  if (result.error !== undefined) {
    return "strace is not installed";
  }
  return result.status === 0 ? undefined : `strace does not work here: ${result.stderr.trim()}`;
}

function isTraced(task: string): boolean {
  try {
    return !/^TracerPid:\s+0$/m.test(readFileSync(`${task}/status`, "utf8"));
  } catch {
    return true; // a thread that ended need not be waited for
  }
}

/** Reads the table that `strace -c` writes. */
function parseSummary(summary: string): SyscallCounts {
  const counts: Record<string, number> = {};
  for (const line of summary.split("\n")) {
    // % time, seconds, usecs/call, calls, errors (blank when none), name
    const match = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined && match[2] !== "total") {
      counts[match[2]] = Number(match[1]);
    }
  }
  return counts;
}

export function totalCalls(counts: SyscallCounts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** Counts the system calls of all threads of a daemon while `action` runs. */
export async function countSyscalls(
  daemon: number,
  directory: string,
  action: () => Promise<unknown>,
): Promise<SyscallCounts> {
  const output = join(directory, "strace");
  const processes = processTree(daemon).flatMap((pid) => ["-p", `${pid}`]);
  const child = spawn("strace", ["-c", "-f", "-q", "-o", output, ...processes], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const closed = once(child, "close");
  try {
    for (let i = 0; !taskDirectories(daemon).every(isTraced); i += 1) {
      if (i === ATTACH_TRIES || child.exitCode !== null) {
        throw new Error(`strace did not attach: ${String(child.stderr.read() ?? "").trim()}`);
      }
      await sleep(ATTACH_EVERY_MS);
    }
    await action();
  } finally {
    child.kill("SIGINT");
    await closed;
  }
  return parseSummary(readFileSync(output, "utf8"));
}
