import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Config } from "../config.js";
import { messageOf } from "../errors.js";
import { type HookFile, MARK, STUB } from "./hook-files.js";
import { usersAreElsewhere, usersWithContainers } from "./hooks.js";

/** Which containers of LXC and podman hand system calls over: those configured to, or all new ones. */
export const CALL_MODES = ["chosen", "all"] as const;
export type CallMode = (typeof CALL_MODES)[number];

export interface CallPlaces {
  /** The directory of the sockets. */
  readonly directory: string;
  /** The system calls to hand over. */
  readonly names: readonly string[];
  readonly mark: string;
  /** Prefix of every path that is read. Without it nothing is read, for callers that only need the paths. */
  readonly root?: string;
}

const OWN = "/etc/vprocfs";
const POLICY = `${OWN}/calls.seccomp`;
const LXC_SNIPPET = `${OWN}/lxc-calls.conf`;
const LXC_DIRECTORY = "/usr/share/lxc/config/common.conf.d";
const LXC_DEFAULT = "/usr/share/lxc/config/common.seccomp";
/** For all new containers, also those of users other than root. */
const LXC_FOR_ALL = `${LXC_DIRECTORY}/30-vprocfs-calls.conf`;
const PODMAN_FOR_ALL = "/etc/containers/containers.conf.d/30-vprocfs-calls.conf";
const PROFILE = "/etc/containers/vprocfs-seccomp.json";
/** podman's default profile is the first of these that exists, else one that is built in. */
const PODMAN_DEFAULTS = ["/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"];

/** Used if LXC's own policy is missing. */
const LXC_FALLBACK = [
  "2",
  "denylist",
  "reject_force_umount",
  "[all]",
  "kexec_load errno 1",
  "open_by_handle_at errno 1",
  "init_module errno 1",
  "finit_module errno 1",
  "delete_module errno 1",
].join("\n");

/** Undefined: it does not exist, or there is no root. */
function readIfThere(root: string | undefined, path: string): string | undefined {
  const from = root === undefined ? undefined : join(root, path);
  return from !== undefined && existsSync(from) ? readFileSync(from, "utf8").trimEnd() : undefined;
}

/** LXC's own policy, followed by the calls to hand over. */
function lxcPolicy({ names, mark, root }: CallPlaces): string {
  const rules = names.map((name) => `${name} notify`);
  const own = readIfThere(root, LXC_DEFAULT) ?? LXC_FALLBACK;
  return [own, `# ${mark}`, "[all]", ...rules, ""].join("\n");
}

/** The policy with nothing to hand over: LXC then starts containers without anybody who answers. */
function withoutCalls(policy: string): string {
  const others = policy.split("\n").filter((line) => !/^\s*\w+\s+notify\b/.test(line));
  return `${others.join("\n").trimEnd()}\n${STUB}`;
}

const Profile = z.looseObject({
  syscalls: z._default(z.array(z.looseObject({ names: z.array(z.string()) })), []),
});

type Made = Pick<HookFile, "content" | "problem" | "summary">;

/**
 * podman's default profile, with the calls handed over instead of allowed. Without a default profile there is a
 * problem: a profile of our own would allow what podman forbids.
 */
function podmanProfile({ directory, names, mark, root }: CallPlaces): Made {
  const found = PODMAN_DEFAULTS.map((path) => ({ path, text: readIfThere(root, path) }));
  const { path: from, text } = found.find((each) => each.text !== undefined) ?? {};
  if (text === undefined) {
    const problem =
      `no seccomp profile to start from: install the package that has ${PODMAN_DEFAULTS[1]} ` +
      `(Debian: golang-github-containers-common), or put one into ${PODMAN_DEFAULTS[0]}`;
    return root === undefined ? { content: "" } : { content: "", problem };
  }
  let profile: z.infer<typeof Profile>;
  try {
    profile = Profile.parse(JSON.parse(text));
  } catch (error) {
    return { content: "", problem: `${from}: no seccomp profile: ${messageOf(error)}` };
  }
  const others = profile.syscalls
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !names.includes(name)) }))
    .filter((rule) => rule.names.length > 0);
  const ours = { names: [...names], action: "SCMP_ACT_NOTIFY", args: [], comment: mark };
  const listener = { listenerPath: join(directory, "oci.sock"), listenerMetadata: "vprocfs" };
  const whole = { ...profile, ...listener, syscalls: [...others, ours] };
  const summary = `(${from}, but ${names.join(", ")} handed over to ${listener.listenerPath})`;
  return { content: `${JSON.stringify(whole, null, 1)}\n`, summary };
}

/** What in the configuration keeps a vprocfs from answering calls; undefined: nothing. */
export function answersNone({
  calls,
  engine,
}: Pick<Config, "calls" | "engine">): string | undefined {
  if (engine !== "native") {
    return `engine = "${engine}"`;
  }
  return calls === "off" ? 'calls = "off"' : undefined;
}

/** Those of our files that are there for all new containers, which do not start while nobody answers calls. */
export function filesForAll(root: string): string[] {
  const files = [LXC_FOR_ALL, PODMAN_FOR_ALL];
  return files.filter((path) => readIfThere(root, path)?.includes(MARK) === true);
}

/**
 * Whose containers do not start while these files are there for all: only root's runtimes can connect. Undefined:
 * nobody's.
 */
export function usersLeftOut(root: string): string | undefined {
  if (![LXC_FOR_ALL, PODMAN_FOR_ALL].some((path) => existsSync(join(root, path)))) {
    return undefined;
  }
  const elsewhere = usersAreElsewhere(root) ? ["those of the directory service"] : [];
  const users = [...usersWithContainers(root), ...elsewhere];
  return users.length === 0 ? undefined : users.join(", ");
}

/** Whether containers of Proxmox may be there, which writes a policy of its own for each unprivileged one. */
export function hasProxmox(root: string): boolean {
  return existsSync(join(root, "/etc/pve"));
}

/** The files that make containers hand system calls over. */
export function callFiles(places: CallPlaces, mode: CallMode): HookFile[] {
  const { directory, mark } = places;
  const owned = { owns: [OWN] };
  const profile = podmanProfile(places);
  const lxcLines = [
    `# ${mark}: hands system calls over to vprocfs. Such containers do not start while vprocfs is not running.`,
    `lxc.seccomp.profile = ${POLICY}`,
    `lxc.seccomp.notify.proxy = unix:${join(directory, "lxc.sock")}`,
    "",
  ].join("\n");
  const chosen: HookFile[] = [
    {
      kind: "lxc",
      path: POLICY,
      needs: LXC_DIRECTORY,
      ...owned,
      leaves: withoutCalls,
      content: lxcPolicy(places),
    },
    {
      kind: "lxc",
      path: LXC_SNIPPET,
      needs: LXC_DIRECTORY,
      ...owned,
      leaves: () => STUB,
      content: lxcLines,
    },
    {
      kind: "oci",
      path: PROFILE,
      needs: "/etc/containers",
      owns: [],
      ...profile,
    },
  ];
  const all: HookFile[] = [
    {
      kind: "lxc",
      path: LXC_FOR_ALL,
      needs: LXC_DIRECTORY,
      owns: [],
      content: lxcLines,
    },
    {
      kind: "oci",
      path: PODMAN_FOR_ALL,
      needs: "/etc/containers",
      owns: ["/etc/containers/containers.conf.d"],
      content: `# ${mark}\n[containers]\nseccomp_profile = "${PROFILE}"\n`,
      // Without the profile no container of podman would start.
      ...(profile.problem !== undefined && { problem: `needs ${PROFILE}` }),
    },
  ];
  return mode === "all" ? [...chosen, ...all] : chosen;
}
