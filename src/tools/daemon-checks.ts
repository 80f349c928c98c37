import { answersNone, filesForAll } from "../attach/call-files.js";
import type { Config } from "../config.js";
import { messageOf, VprocfsError } from "../errors.js";
import { askFigures, type DaemonFigures } from "../figures.js";
import type { AskStatus, Status } from "../keeper-status.js";
import { type MountState, stateOfMount } from "../mountpoint.js";
import { polledMountpointOf } from "../polled.js";
import { serviceAt } from "../service.js";
import { counted, printable } from "../text.js";
import { servedUnseen } from "../unseen.js";
import { NoAnswer } from "../within.js";
import { type Finding, Findings } from "./findings.js";
import { isAtLeast } from "./kernel-version.js";
import { ago, RECENT_S } from "./use-checks.js";

function checkStatus(findings: Findings, status: Status, flags: string): void {
  const { state, generation, restarts, reasons, failuresInARow, standby } = status;
  const last = reasons.length === 0 ? "" : `; last: ${reasons[0]}`;
  if (state !== "serving") {
    findings.add(
      "problem",
      `the worker is ${state}${last}`,
      `see the log; 'vprocfs reload${flags}'`,
    );
  } else {
    findings.add("ok", `worker of generation ${generation} serves`);
  }
  if (restarts > 0) {
    const level = failuresInARow > 1 ? "warning" : "info";
    findings.add(level, `${counted(restarts, "worker")} ended unexpectedly${last}`);
  }
  if (standby === "off") {
    findings.add("info", "no standby worker: a takeover waits for Node to start");
  }
  if (status.undying > 0) {
    findings.add(
      "warning",
      `killed workers that have not ended, because a system call or a frozen cgroup holds them: ${status.undying}`,
      "look for processes in state D: ps -eo pid,stat,wchan:30,args",
    );
  }
  if (status.descriptorsLost > 0) {
    findings.add(
      "problem",
      `${counted(status.descriptorsLost, "descriptor")} of containers lost: their system calls wait or fail`,
      "raise LimitNOFILE= of the service and restart it; if their calls still wait, restart those containers",
    );
  }
  if (status.statesIgnored > 0) {
    findings.add(
      "warning",
      `the state of an earlier worker could not be restored, ${counted(status.statesIgnored, "time")}`,
    );
  }
}

/** Share of a resource in use from which it is reported. */
const NEARLY_ALL = 0.8;

function checkResources(findings: Findings, figures: DaemonFigures): void {
  const resources = Object.entries(figures.resources);
  if (resources.length === 0) {
    return;
  }
  let isReported = false;
  for (const [name, { used, limit, refused, short }] of resources) {
    const what = name.replaceAll("_", " ");
    const level = short > 0 || used > NEARLY_ALL * limit ? "warning" : "info";
    if (level === "info" && refused === 0) {
      continue;
    }
    isReported = true;
    const others = short === 0 ? "" : `, ${short} of them because others used the rest`;
    const often =
      refused === 0 ? "" : `; ${refused} requests beyond a container's share were refused${others}`;
    const todo =
      level === "warning" && ["containers", "sources", "triggers"].includes(name)
        ? "raise LimitNOFILE= of the service"
        : undefined;
    findings.add(level, `${used} of ${limit} ${what} in use${often}`, todo);
  }
  if (!isReported) {
    findings.add("ok", "no container has asked for more than its share of the shared resources");
  }
}

/** Whether the watcher could not do its work at once. */
function checkShortages(findings: Findings, { shortages }: DaemonFigures): void {
  if (shortages === undefined) {
    return;
  }
  const { count, last } = shortages;
  const seconds = last === undefined ? Number.POSITIVE_INFINITY : (Date.now() - last.atMs) / 1000;
  const what = last === undefined ? "" : `; last, ${ago(seconds)}: ${printable(last.what)}`;
  findings.add(
    seconds < RECENT_S ? "warning" : "info",
    `the watcher was short of descriptors, processes or memory, ${counted(count, "time")}${what}`,
    "containers get their files when it tries again; raise LimitNOFILE= and TasksMax= of the service",
  );
}

/** Whether files that can be polled have a mount of their own, which answers. */
async function checkPolled(
  findings: Findings,
  config: Config,
  mountpoint: string,
  log: string,
): Promise<void> {
  if (config.engine !== "native") {
    return;
  }
  const place = polledMountpointOf(mountpoint);
  const state = await stateOfMount(place, config);
  if (state === "live") {
    findings.add("ok", "pressure files are polled through a mount of their own");
  } else if (state === "dead" || state === "hung") {
    findings.add(
      "problem",
      `containers cannot read their pressure files and kernel logs: ${place} ${state === "dead" ? "is dead" : "does not answer"}`,
      `if this stays so for longer than a minute, restart vprocfs; see ${log}`,
    );
  } else {
    findings.add(
      "warning",
      "pressure files have no mount of their own: containers get no /dev/kmsg and /proc/kmsg, opens are slower for programs that poll every file, and a waiting poll keeps the node from suspending",
      `restart vprocfs; see ${log} for why it could not be mounted`,
    );
  }
}

function checkVersion(
  findings: Findings,
  daemon: DaemonFigures,
  config: Config,
  version: string,
  flags: string,
): void {
  if (daemon.version !== version) {
    findings.add(
      "warning",
      `version ${daemon.version} serves, ${version} is installed`,
      `vprocfs reload${flags}`,
    );
  } else {
    // An earlier version does not say where it serves them.
    const { metrics = config.metrics } = daemon;
    const where = metrics === "off" ? "metrics are off" : `metrics on ${metrics}`;
    findings.add("ok", `version ${version} serves, ${where}`);
  }
  if (daemon.metricsProblem) {
    findings.add(
      "warning",
      `no metrics are served: ${daemon.metricsProblem}`,
      `repair the configuration or free the address, then 'vprocfs reload${flags}'`,
    );
  }
}

function checkKernelLogs(findings: Findings, daemon: DaemonFigures): void {
  if (daemon.kernelLog !== undefined) {
    findings.add(
      daemon.kernelLog ? "ok" : "info",
      daemon.kernelLog
        ? "containers have kernel logs of their own"
        : 'containers have no kernel logs of their own: kernel-log is "off"',
    );
  }
  if (daemon.kernelLogProblem) {
    findings.add(
      "warning",
      `containers' kernel logs get no events: ${daemon.kernelLogProblem}`,
      "let the service read /dev/kmsg (CAP_SYSLOG, DeviceAllow=)",
    );
  }
  for (const reason of daemon.kernelLogMissing ?? []) {
    findings.add(
      "info",
      `containers' kernel logs lack some records of processes that have ended, because a source is missing: ${reason}`,
    );
  }
}

/** Checks what the worker says of itself. */
async function checkWorker(
  findings: Findings,
  config: Config,
  { mountpoint, flags }: Place,
  version: string,
): Promise<void> {
  const daemon = await askFigures(mountpoint);
  if (daemon === undefined) {
    findings.add("info", "the worker does not answer: version, load and requests are unknown");
    return;
  }
  checkVersion(findings, daemon, config, version, flags);
  checkKernelLogs(findings, daemon);
  if (daemon.callsProblem) {
    findings.add("warning", `system calls of containers are not answered: ${daemon.callsProblem}`);
  }
  // checkAge() says what an older kernel lacks.
  if (daemon.openat2 !== undefined && isAtLeast(5, 6)) {
    findings.add(
      "problem",
      `the service cannot call openat2(2) (${daemon.openat2}): containers whose root is on a file system of their own get no files`,
      "see 'systemctl cat vprocfs' for RestrictSUIDSGID= or a SystemCallFilter= that refuses it",
    );
  }
  if (daemon.watchProblem) {
    findings.add(
      "warning",
      `only hooks find new containers, because the kernel does not report new processes: ${daemon.watchProblem}`,
      "run vprocfs on the host itself, or with its PID, user and network namespaces, and a kernel with CONFIG_PROC_EVENTS; else 'vprocfs install-hooks', or 'vprocfs attach' for each container",
    );
  }
  checkResources(findings, daemon);
  checkShortages(findings, daemon);
}

/** Whether new containers hand over system calls that this vprocfs does not answer. */
export function checkCallFiles(
  config: Pick<Config, "calls" | "engine">,
  root = "/",
): readonly Finding[] {
  const findings = new Findings("vprocfs");
  const silent = answersNone(config);
  const files = filesForAll(root);
  if (silent !== undefined && files.length > 0) {
    findings.add(
      "problem",
      `new containers do not start: they hand system calls over (${files.join(", ")}), which ${silent} does not answer`,
      "answer them and restart vprocfs, or run 'vprocfs uninstall-hooks' and then 'vprocfs install-hooks'",
    );
  }
  return findings.list;
}

/** A mount, as an operator names it. */
interface Place {
  /** Canonical. */
  readonly mountpoint: string;
  readonly state: MountState;
  /** Flags that name it in an advised command, each with a blank before it. */
  readonly flags: string;
  readonly ask: AskStatus;
}

/** Checks the mount, its keeper and its worker. */
export async function checkDaemon(
  config: Config,
  place: Place,
  version: string,
): Promise<Finding[]> {
  const findings = new Findings("vprocfs");
  const { mountpoint, state, flags, ask } = place;
  const { start, restart, log } = await serviceAt(mountpoint, ask);
  const status = await ask().catch((error: Error) => error);
  // A keeper that is only slow needs no restart, which would be felt in all containers.
  const slow = status instanceof NoAnswer && {
    what: `${messageOf(status)}; it may be serving in other namespaces than those of this command`,
    todo: `it may only be slow: see ${log}, and run this again`,
  };
  if (state !== "live") {
    const unseen =
      state === "none" ? await servedUnseen(mountpoint, config, restart, ask) : undefined;
    if (unseen !== undefined) {
      findings.add("problem", `${mountpoint}: ${unseen.what}`, unseen.todo);
      return findings.list;
    }
    if (state === "none" && slow) {
      findings.add("problem", `${slow.what}; nothing is mounted here`, slow.todo);
      return findings.list;
    }
    const reasons = {
      dead: ["the mount is dead", `start it again with '${start}'`],
      hung: ["the mount does not answer", `see 'vprocfs status${flags}', and ${log}`],
      foreign: ["something else is mounted there", "unmount it, or name another --mountpoint"],
      none: ["nothing is mounted there", `start it with '${start}', or name its --mountpoint`],
    } as const;
    const [what, todo] = reasons[state];
    findings.add("problem", `${mountpoint}: ${what}`, todo);
    return findings.list;
  }
  findings.add("ok", `${mountpoint} is mounted and answers`);
  if (slow) {
    findings.add("warning", slow.what, slow.todo);
  } else if (status instanceof Error) {
    findings.add(
      "warning",
      messageOf(status),
      status instanceof VprocfsError && status.code === "SYSTEM"
        ? `see ${log}`
        : `nothing replaces a dead worker without a keeper: restart vprocfs; see ${log}`,
    );
  } else {
    checkStatus(findings, status, flags);
  }
  await checkPolled(findings, config, mountpoint, log);
  await checkWorker(findings, config, place, version);
  return findings.list;
}
