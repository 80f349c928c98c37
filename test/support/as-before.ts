// What a container sees of all that is not ours: to be the same before files are attached, while they
// are, and after they are gone.

import { mountsOf } from "./attach.js";
import { output, run } from "./command.js";

/** Masks as Docker, podman and Kubernetes have them, of directories and files that this host has. */
export const MASKED = [
  "/proc/timer_list",
  "/proc/interrupts",
  "/sys/firmware",
  "/sys/devices/system/cpu/cpu0/topology",
  "/sys/devices/system/cpu/cpu0/uevent",
  "/sys/devices/system/cpu/cpu1/topology",
  "/sys/devices/system/cpu/cpufreq",
] as const;

/** A process of the host in all namespaces of a container. */
function enter(init: number, userBase: number | undefined): string[] {
  const user = userBase === undefined ? [] : ["-U", "-S", "0", "-G", "0"];
  return ["nsenter", "-t", `${init}`, ...user, ...["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]];
}

/** What builds and takes away chroots, and mounts in user namespaces; each with its exit status. */
export const DEEDS: readonly (readonly [string, string])[] = [
  ["a proc in a user namespace", "unshare -Urpf --mount-proc true"],
  [
    "a sysfs in a user namespace",
    "unshare -Urmn mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys",
  ],
  [
    "a chroot's proc",
    "mount -t tmpfs none /tmp && mkdir /tmp/proc && mount -t proc proc /tmp/proc && " +
      "chroot / true && umount /tmp/proc; status=$?; umount -R /tmp && exit $status",
  ],
  [
    "a chroot with all of proc and sys",
    "mount -t tmpfs none /tmp && mkdir /tmp/proc /tmp/sys && mount --rbind /proc /tmp/proc && " +
      "mount --rbind /sys /tmp/sys && mount --make-rslave /tmp/proc && mount --make-rslave /tmp/sys && " +
      "umount -R /tmp; status=$?; umount -l /tmp 2>/dev/null; exit $status",
  ],
];

/** What is where, and what can be done. `places`: of all mounts that there were. */
export async function seen(
  init: number,
  places: readonly string[],
  userBase?: number,
  deeds = DEEDS,
): Promise<Record<string, string>> {
  const inside = enter(init, userBase);
  const result: Record<string, string> = {};
  const look =
    'for at; do case $at in /sys/*) list=$(ls -A "$at" | head -3 | tr "\\n" " ") ;; *) list= ;; esac; ' +
    'echo "$(stat -c "%d:%i %F" "$at" 2>&1) $list"; done';
  const lines = (await output([...inside, "sh", "-c", look, "sh", ...places])).split("\n");
  for (const [index, place] of places.entries()) {
    result[place] = lines[index] ?? "";
  }
  for (const [what, deed] of deeds) {
    const { status, stderr } = await run([...inside, "sh", "-c", deed]);
    result[what] = `${status} ${stderr}`.trim();
  }
  return result;
}

/**
 * Where something is mounted in a container, each once; without what belongs to a CPU that one with
 * a quota of one is not shown.
 */
export function mountedIn(init: number): string[] {
  const all = new Set(mountsOf(init).map(({ mountpoint }) => mountpoint));
  return [...all].filter((path) => !path.includes("/cpu1/"));
}
