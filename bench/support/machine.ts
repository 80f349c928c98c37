import { existsSync, readFileSync } from "node:fs";
import { arch, cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { findHierarchies } from "../../src/demo/cgroups.js";
import { lxcfsVersion } from "./peers/lxcfs.js";

/** Facts about the machine, which are needed to compare figures. */
export const machineSchema = z.object({
  kernel: z.string(),
  arch: z.string(),
  cpuModel: z.string(),
  cpus: z.number(),
  memoryMiB: z.number(),
  governor: z.string(),
  clocksource: z.string(),
  cgroups: z.enum(["v1", "hybrid", "v2"]),
  virtualised: z.boolean(),
  node: z.string(),
  lxcfs: z.string(),
});
type Machine = z.infer<typeof machineSchema>;

function textOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

export function machineFacts(): Machine {
  return {
    kernel: textOf("/proc/sys/kernel/osrelease") ?? "unknown",
    arch: arch(),
    cpuModel: cpus()[0]?.model ?? "unknown",
    cpus: cpus().length,
    memoryMiB: Math.round(totalmem() / 1024 / 1024),
    governor: textOf("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") ?? "none",
    clocksource:
      textOf("/sys/devices/system/clocksource/clocksource0/current_clocksource") ?? "unknown",
    cgroups: findHierarchies().layout,
    virtualised: /^flags\s*:.*\bhypervisor\b/m.test(textOf("/proc/cpuinfo") ?? ""),
    node: process.versions.node,
    lxcfs: lxcfsVersion() ?? "not installed",
  };
}

/** Busy and all CPU time of the machine so far, in ticks. */
function cpuTicks(): { busy: number; all: number } {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const fields = line.split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, ticks) => sum + ticks, 0);
  const idle = (fields[3] ?? 0) + (fields[4] ?? 0);
  return { busy: all - idle, all };
}

/** How busy the machine is with other things, as a share of all its CPUs (0..1). */
export async function backgroundLoad(milliseconds = 100): Promise<number> {
  const before = cpuTicks();
  await sleep(milliseconds);
  const after = cpuTicks();
  return after.all === before.all ? 0 : (after.busy - before.busy) / (after.all - before.all);
}
