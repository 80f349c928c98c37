// Containers that hand their calls of sysinfo(2) over, and what is asked in them.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { removeCgroup } from "./cgroups.js";
import type { Outcome } from "./command.js";
import { type Daemon, temporaryDirectory } from "./daemon.js";
import { LxcContainer } from "./lxc.js";
import { OciContainer } from "./oci.js";
import { program } from "./programs.js";
import type { Scope } from "./scope.js";
import type { Inside } from "./shows.js";

export const MIB = 2 ** 20;
export const LIMITS = { memory: 256 * MIB, swap: 128 * MIB, quota: 1 };
const USER_BASE = 1_000_000;

/** What /bin/calls show prints. */
const Sysinfo = z.object({
  uptime: z.number(),
  loads: z.array(z.number()),
  total: z.number(),
  free: z.number(),
  shared: z.number(),
  buffers: z.number(),
  swapTotal: z.number(),
  swapFree: z.number(),
  tasks: z.number(),
  unit: z.number(),
});
type Sysinfo = z.infer<typeof Sysinfo>;

/** What /bin/calls watch prints. */
export const Watched = z.object({
  calls: z.number(),
  wrong: z.number(),
  longestUs: z.number(),
  meanUs: z.number(),
  p50Us: z.number(),
  p99Us: z.number(),
});
export type Watched = z.infer<typeof Watched>;

/** Where the test's program is in every container. */
export const CALLS = "/tmp/calls";

/** The one that calls syslog(2), and the one that the kernel logs. */
export const SYSLOG = "/tmp/syslog";
export const FAULT = "/tmp/fault";

/** A container with a way to it. */
export interface Caller extends Inside {
  run(argv: readonly string[]): Promise<Outcome>;
  /** Starts a program that runs until the scope ends it. */
  background(scope: Scope, argv: readonly string[]): void;
  readonly rootfs: string;
}

export function seccompProfile(socket: string, calls: readonly string[]): object {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    ...(process.arch === "x64" && { architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] }),
    listenerPath: socket,
    syscalls: [{ names: [...calls], action: "SCMP_ACT_NOTIFY" }],
  };
}

/** Lines of LXC's configuration that have a container hand calls over. */
export function lxcCalls(scope: Scope, sockets: string, calls: readonly string[]): string[] {
  const policy = join(temporaryDirectory(scope, "policy"), "calls.seccomp");
  const rules = calls.map((name) => `${name} notify`).join("\n");
  writeFileSync(policy, `2\ndenylist\n[all]\n${rules}\n`);
  return [
    `lxc.seccomp.profile = ${policy}`,
    `lxc.seccomp.notify.proxy = unix:${join(sockets, "lxc.sock")}`,
    "lxc.seccomp.notify.cookie = a-cookie",
  ];
}

const NOTIFIED = ["sysinfo", "sched_getaffinity", "syslog", "getpriority"];

export type Kind = "runc" | "crun" | "podman" | "lxc";

/** Starts one whose runtime hands over the calls that are answered and one that is not ours. */
export async function startCaller(
  scope: Scope,
  kind: Kind,
  place: {
    readonly daemon: Daemon;
    readonly sockets: string;
    readonly mapped?: boolean;
    /** Without the files. */
    readonly plain?: boolean;
    /** What its processes may do as root, beside what LXC and podman let them. */
    readonly capabilities?: readonly string[];
  },
): Promise<Caller> {
  const { daemon, sockets, mapped = false, plain = false } = place;
  const user = mapped ? { userBase: USER_BASE } : {};
  const install = (container: Caller): Caller => {
    for (const [path, name] of [
      [CALLS, "calls"],
      [SYSLOG, "syslog"],
      [FAULT, "fault"],
    ] as const) {
      copyFileSync(program(name), join(container.rootfs, path));
    }
    return container;
  };
  if (kind === "lxc") {
    const lines = lxcCalls(scope, sockets, NOTIFIED);
    const tree = plain ? {} : { tree: daemon.mountpoint };
    const options = { ...LIMITS, ...user, ...tree, lines, byInit: true };
    return install(await LxcContainer.start(scope, options));
  }
  const { capabilities } = place;
  const profile = seccompProfile(join(sockets, "oci.sock"), NOTIFIED);
  if (kind === "podman") {
    const path = join(temporaryDirectory(scope, "profile"), "seccomp.json");
    writeFileSync(path, JSON.stringify(profile));
    const added = (capabilities ?? []).flatMap((name) => ["--cap-add", name]);
    const podmanRun = ["--security-opt", `seccomp=${path}`, ...added];
    return install(await OciContainer.podman(scope, "runc", daemon, LIMITS, { podmanRun }));
  }
  const variant = {
    seccomp: profile,
    plain,
    ...user,
    ...(capabilities !== undefined && { capabilities }),
  };
  return install(await OciContainer.start(scope, kind, daemon, LIMITS, variant));
}

export async function sysinfoOf(caller: Inside, how: "show" | "show32" = "show"): Promise<Sysinfo> {
  return Sysinfo.parse(JSON.parse(await caller.output([CALLS, how])));
}

/** Calls until the file is there, or so often; every answer has to have the container's total. */
export async function watched(caller: Inside, until: string, most = 2 ** 53 - 1): Promise<Watched> {
  const text = await caller.output([CALLS, "watch", `${LIMITS.memory}`, until, `${most}`]);
  return Watched.parse(JSON.parse(text));
}

/** The roots of the hierarchies in which service managers keep services. */
const SERVICE_ROOTS = ["", "/unified", "/systemd"]
  .map((path) => `/sys/fs/cgroup${path}`)
  .filter((path) => existsSync(join(path, "cgroup.procs")));

/** The PIDs in one cgroup of those hierarchies, each as often as it is in one; none: no such group. */
export function serviceProcesses(name: string): number[] {
  return SERVICE_ROOTS.map((root) => join(root, name, "cgroup.procs"))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, "utf8").trim().split("\n"))
    .filter((pid) => pid !== "")
    .map(Number);
}

/** Where what stays behind is. */
export const REST_GROUP = "vprocfs-rest";

/** Those without processes; others may be in those of another vprocfs. */
export function emptyRestGroups(): string[] {
  return SERVICE_ROOTS.map((root) => join(root, REST_GROUP)).filter((path) => {
    try {
      return readFileSync(join(path, "cgroup.procs"), "utf8") === "";
    } catch {
      return false;
    }
  });
}

/** Puts processes into a service's cgroup, as a service manager does. */
export function asService(scope: Scope, name: string, pids: readonly number[]): void {
  for (const root of SERVICE_ROOTS) {
    const group = join(root, name);
    mkdirSync(group);
    scope.defer(() => removeCgroup(group));
    for (const pid of pids) {
      writeFileSync(join(group, "cgroup.procs"), `${pid}`);
    }
  }
}
