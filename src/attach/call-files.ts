import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod/mini";
import { messageOf } from "../errors.js";
import type { HookFile } from "./hooks.js";

/** Which containers hand system calls over: those of LXC and podman that are made to, or all new. */
export const CALL_MODES = ["chosen", "all"] as const;
export type CallMode = (typeof CALL_MODES)[number];

export interface CallPlaces {
  /** Of the sockets. */
  readonly directory: string;
  /** The system calls to hand over. */
  readonly names: readonly string[];
  readonly mark: string;
  /** Before every path that is read; without it nothing is, and contents do not count. */
  readonly root?: string;
}

const OWN = "/etc/vprocfs";
const POLICY = `${OWN}/calls.seccomp`;
const LXC_SNIPPET = `${OWN}/lxc-calls.conf`;
const LXC_DIRECTORY = "/usr/share/lxc/config/common.conf.d";
const LXC_DEFAULT = "/usr/share/lxc/config/common.seccomp";
const PROFILE = "/etc/containers/vprocfs-seccomp.json";
/** What podman takes its default from: the first that is there, else one that it was built with. */
const PODMAN_DEFAULTS = ["/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"];

/** What LXC refuses where it has no policy of its own. */
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

/** Undefined when it is not there, or nothing is to be read. */
function readIfThere(root: string | undefined, path: string): string | undefined {
  const from = root === undefined ? undefined : join(root, path);
  return from !== undefined && existsSync(from) ? readFileSync(from, "utf8").trimEnd() : undefined;
}

/** LXC's own policy with the calls at its end. */
function lxcPolicy({ names, mark, root }: CallPlaces): string {
  const rules = names.map((name) => `${name} notify`);
  const own = readIfThere(root, LXC_DEFAULT) ?? LXC_FALLBACK;
  return [own, `# ${mark}`, "[all]", ...rules, ""].join("\n");
}

const Profile = z.looseObject({
  syscalls: z._default(z.array(z.looseObject({ names: z.array(z.string()) })), []),
});

type Made = Pick<HookFile, "content" | "problem" | "summary">;

/**
 * podman's default profile with the calls handed over instead of allowed. Without one there is none:
 * what else would be written allows what podman forbids.
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

/** The files that have containers hand system calls over. */
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
    { kind: "lxc", path: POLICY, needs: LXC_DIRECTORY, ...owned, content: lxcPolicy(places) },
    {
      kind: "lxc",
      path: LXC_SNIPPET,
      needs: LXC_DIRECTORY,
      ...owned,
      isIncluded: true,
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
      path: `${LXC_DIRECTORY}/30-vprocfs-calls.conf`,
      needs: LXC_DIRECTORY,
      owns: [],
      content: lxcLines,
    },
    {
      kind: "oci",
      path: "/etc/containers/containers.conf.d/30-vprocfs-calls.conf",
      needs: "/etc/containers",
      owns: ["/etc/containers/containers.conf.d"],
      content: `# ${mark}\n[containers]\nseccomp_profile = "${PROFILE}"\n`,
      // No container of podman would start.
      ...(profile.problem !== undefined && { problem: `needs ${PROFILE}` }),
    },
  ];
  return mode === "all" ? [...chosen, ...all] : chosen;
}
