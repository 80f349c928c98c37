import { existsSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Config } from "../config.js";
import type { Containers } from "../metrics/survey.js";
import { type Mount, readMounts } from "../mountinfo.js";
import { isLxcfs } from "../mountpoint.js";
import type { LocatedContainer, NodeMemory } from "../native/binding.js";
import { allProcesses } from "../processes.js";
import { formatBytes } from "../text.js";
import { readFigure, valueIn } from "./cgroup-files.js";
import { type Finding, Findings } from "./findings.js";
import { isAtLeast, leavesCallsToKernel } from "./kernel-version.js";
import { memoryUseOfNode } from "./memory-use.js";
import { NEAR_LIMIT } from "./use-checks.js";
import { gapsOf } from "./verdicts.js";

/** About how many files are watched for each container. */
const WATCHES_PER_CONTAINER = 24;

/** The hierarchy of each controller: "v1" or "v2". Those that are not mounted are missing. */
function controllers(mounts: readonly Mount[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { fsType, mountpoint, superOptions } of mounts) {
    if (fsType === "cgroup2") {
      const names = readFigure(join(mountpoint, "cgroup.controllers"))?.split(/\s+/) ?? [];
      for (const name of names) {
        found.set(name, "v2");
      }
    }
    if (fsType === "cgroup") {
      for (const name of superOptions) {
        found.set(name === "blkio" ? "io" : name, "v1");
      }
    }
  }
  return found;
}

const NEEDED: readonly (readonly [controller: string, shows: string, without: string])[] = [
  ["memory", "memory and swap", "containers see the host's memory and swap"],
  ["cpu", "CPU quotas and steal time", "containers see no quota and no steal time"],
  ["cpuset", "which CPUs there are", "containers may see all CPUs of the host"],
  ["pids", "numbers of tasks in metrics", "metrics lack numbers of tasks"],
  ["io", "disk traffic", "containers see 0 for disk traffic"],
];

function checkControllers(findings: Findings, mounts: readonly Mount[]): void {
  const found = controllers(mounts);
  for (const [name, shows, without] of NEEDED) {
    const where = found.get(name);
    if (where !== undefined) {
      findings.add("ok", `controller ${name} on cgroup ${where}: ${shows}`);
    } else {
      const level = name === "memory" || name === "cpu" ? "warning" : "info";
      findings.add(
        level,
        `no controller ${name}: ${without}`,
        name === "memory" ? "boot with cgroup_enable=memory" : "enable it in the kernel",
      );
    }
  }
}

/** Whether swap is accounted in the cgroups of containers. `meminfo`: the node's. */
export function checkSwap(
  findings: Findings,
  containers: readonly Pick<LocatedContainer, "cgroups">[],
  meminfo: string,
): void {
  // One may have ended since they were listed.
  const places = containers
    .map(({ cgroups }) => cgroups.memory)
    .filter((place) => place !== undefined)
    .filter(({ mount, path }) => existsSync(join(mount, path)));
  const [place] = places;
  if (place === undefined) {
    return;
  }
  const file = place.v2 ? "memory.swap.current" : "memory.memsw.usage_in_bytes";
  if (places.some(({ mount, path }) => existsSync(join(mount, path, file)))) {
    findings.add("ok", "swap is accounted per cgroup");
  } else if (valueIn(meminfo, "SwapTotal:") === 0) {
    findings.add("info", "swap is not accounted, and the node has none");
  } else {
    const todo = place.v2
      ? "enable the memory controller for the cgroup's parent; where it is, boot with swapaccount=1"
      : "boot with swapaccount=1";
    findings.add("warning", "swap is not accounted: containers see no swap in use", todo);
  }
}

/** Whether kills are dated. undefined: no survey says. */
function checkLog(findings: Findings, readsLog: boolean | undefined): void {
  if (readsLog !== undefined) {
    findings.add(
      readsLog ? "ok" : "warning",
      readsLog
        ? "the kernel's log can be read: it has the times of OOM kills"
        : "the kernel's log cannot be read: an OOM kill gets the time at which it is noticed, and containers' kernel logs get no events",
      readsLog ? undefined : "let the service read /dev/kmsg (CAP_SYSLOG, DeviceAllow=)",
    );
  }
}

/** What a kernel lacks because of its age; `version` is as of uname(2). */
export function checkAge(findings: Findings, version = release()): void {
  const resend = isAtLeast(6, 9, version);
  findings.add(
    resend ? "ok" : "info",
    `Linux ${version}: ${resend ? "no request is lost when a worker dies" : "requests in flight fail when a worker dies (Linux 6.9 resends them)"}`,
  );
  if (!isAtLeast(5, 12, version)) {
    findings.add(
      "info",
      "containers whose root is on a FUSE, overlay, 9p or NFS that the host does not have mounted get no files (Linux 5.12 finds places there without asking)",
    );
  }
  if (!leavesCallsToKernel(version)) {
    findings.add(
      "info",
      "system calls that containers hand over would never return (before Linux 5.5): do not use install-hooks --sysinfo",
    );
  } else if (!isAtLeast(5, 6, version)) {
    findings.add("info", "system calls of containers are left to the kernel (before Linux 5.6)");
  }
}

function checkKernel(findings: Findings, containers: number, readsLog: boolean | undefined): void {
  checkAge(findings);
  if (!existsSync("/dev/fuse")) {
    findings.add("problem", "there is no /dev/fuse", "modprobe fuse");
  }
  const hasPressure = existsSync("/proc/pressure/memory");
  findings.add(
    hasPressure ? "ok" : "info",
    hasPressure ? "pressure is measured (PSI)" : "pressure is not measured: boot with psi=1",
  );
  const hasTypes = existsSync("/sys/kernel/btf/vmlinux");
  findings.add(
    hasTypes ? "ok" : "info",
    hasTypes
      ? "the kernel has type information: load is counted by a BPF program"
      : "the kernel has no type information (BTF): load is counted by reading files",
  );
  checkLog(findings, readsLog);
  // syslog(2) then gives every container the whole host's log, unless its runtime hands the call over.
  if (readFigure("/proc/sys/kernel/dmesg_restrict") === "0") {
    findings.add(
      "warning",
      "kernel.dmesg_restrict is 0: containers can read the kernel's log of the whole host",
      "sysctl kernel.dmesg_restrict=1",
    );
  }
  const watches = Number(readFigure("/proc/sys/fs/inotify/max_user_watches"));
  if (containers * WATCHES_PER_CONTAINER > watches) {
    findings.add(
      "warning",
      `${watches} inotify watches are not enough for ${containers} containers: limits are re-read every time`,
      `sysctl fs.inotify.max_user_watches=${containers * WATCHES_PER_CONTAINER * 4}`,
    );
  }
  if (existsSync("/proc/vpsadminos")) {
    findings.add("info", "vpsAdminOS: its kernel shows containers their limits already");
  }
}

function isRunning(command: string): boolean {
  return allProcesses().some((pid) => readFigure(`/proc/${pid}/comm`) === command);
}

/**
 * Whether an LXCFS runs beside vprocfs, and what vprocfs does about containers that have its files. `flags` name the
 * vprocfs at hand in an advised command.
 */
export function checkLxcfs(
  findings: Findings,
  mounts: readonly Mount[],
  config: Pick<Config, "fsType" | "source"> & { readonly replaceLxcfs: boolean },
  flags: string,
): void {
  const mount = mounts.find((one) => isLxcfs(one, config));
  if (mount !== undefined && config.replaceLxcfs) {
    findings.add(
      "warning",
      `LXCFS is mounted on ${mount.mountpoint}: vprocfs replaces its files in containers`,
      "stop LXCFS when no container has its files any more",
    );
  } else if (mount !== undefined) {
    findings.add(
      "warning",
      `LXCFS is mounted on ${mount.mountpoint}: vprocfs leaves alone the containers that have its files`,
      `set replace-lxcfs = "on" and run 'vprocfs reload${flags}', or stop one of the two`,
    );
  } else if (isRunning("lxcfs")) {
    findings.add("info", "an lxcfs process is running but has nothing mounted here");
  }
}

/** Whether the node itself is short of memory, which is no container's limit. */
export function checkNodeMemory(findings: Findings, memory: NodeMemory | null): void {
  const use = memoryUseOfNode(memory);
  if (use !== undefined && use.used / use.total > NEAR_LIMIT) {
    findings.add(
      "warning",
      `${Math.round((100 * use.used) / use.total)} % of the node's ${formatBytes(use.total)} memory is in use`,
      "find what grows ('vprocfs top --sort used'), or move containers to another node",
    );
  }
}

/** What a survey does not say of the containers. undefined: there is none. */
export function checkSurvey(survey: Containers | undefined): Finding[] {
  const findings = new Findings("host");
  for (const gap of gapsOf(survey)) {
    findings.add(
      survey === undefined ? "problem" : "warning",
      `not checked: ${gap}`,
      survey !== undefined && survey.leftOut > 0
        ? "raise 'ulimit -Hn' to check more containers; see fs.file-nr and free memory"
        : undefined,
    );
  }
  return findings.list;
}

/** Checks the kernel, the controllers and other programs of the node. For `flags` see checkLxcfs(). */
export function checkHost(
  survey: Containers | undefined,
  memory: NodeMemory | null,
  containers: readonly LocatedContainer[],
  config: Parameters<typeof checkLxcfs>[2],
  flags: string,
): Finding[] {
  const findings = new Findings("host");
  const mounts = readMounts();
  checkKernel(findings, containers.length, survey?.readsLog);
  checkNodeMemory(findings, memory);
  checkControllers(findings, mounts);
  checkSwap(findings, containers, readFigure("/proc/meminfo") ?? "");
  checkLxcfs(findings, mounts, config, flags);
  return findings.list;
}
