import { readlinkSync } from "node:fs";
import { errnoOf, messageOf } from "../errors.js";
import type { ContainerInfo, NativeBinding } from "../native/binding.js";
import { allProcesses } from "../processes.js";
import { isShortage } from "./helper.js";

/** A mount namespace that is not the host's, and one process in it. */
export interface MountNamespace {
  /** Its inode number. */
  readonly key: number;
  readonly pid: number;
  /** The container that the process is in. */
  readonly container: ContainerInfo;
}

function link(pid: number | "self", name: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`);
  } catch {
    return undefined;
  }
}

function numberOf(pid: number, name: string): number | undefined {
  const digits = link(pid, name)?.match(/\d+/)?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** The number of a process's mount namespace; undefined: the process has ended. */
export function mountNamespaceOf(pid: number): number | undefined {
  return numberOf(pid, "mnt");
}

/** The number of a process's PID namespace; undefined: the process has ended. */
export function pidNamespaceOf(pid: number): number | undefined {
  return numberOf(pid, "pid");
}

/** The container of a process; undefined for processes of the host and for those that have ended. */
export function containerOf(
  finder: Pick<NativeBinding, "containerOf">,
  pid: number,
): ContainerInfo | undefined {
  if (link(pid, "pid") === link("self", "pid")) {
    return undefined;
  }
  try {
    return finder.containerOf(pid) ?? undefined;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ESRCH" || code === "ENOENT" || code === "EXDEV") {
      return undefined;
    }
    throw error;
  }
}

/** containerOf(), or undefined if that fails for another reason than a shortage. */
function containerIfKnown(
  finder: Pick<NativeBinding, "containerOf">,
  pid: number,
): ContainerInfo | undefined {
  try {
    return containerOf(finder, pid);
  } catch (error) {
    if (isShortage(messageOf(error))) {
      throw error;
    }
    return undefined;
  }
}

/** Adds to `first` one process of every mount namespace that has processes of another PID namespace than ours. */
export function namespacesOf(pids: readonly number[], first = new Map<number, number>()) {
  const own = mountNamespaceOf(process.pid);
  const ownPids = link("self", "pid");
  for (const pid of pids) {
    const key = mountNamespaceOf(pid);
    if (key !== undefined && key !== own && !first.has(key) && link(pid, "pid") !== ownPids) {
      first.set(key, pid);
    }
  }
  return first;
}

/**
 * All mount namespaces of containers: those of the containers' inits first, then the others. A namespace
 * whose container cannot be determined is left out: a container can cause that, and must not affect others by
 * it.
 */
export function listNamespaces(finder: Pick<NativeBinding, "containerOf">): MountNamespace[] {
  const found: MountNamespace[] = [];
  for (const [key, pid] of namespacesOf(allProcesses())) {
    const container = containerIfKnown(finder, pid);
    if (container !== undefined) {
      const isMain = mountNamespaceOf(container.init) === key;
      found.push({ key, pid: isMain ? container.init : pid, container });
    }
  }
  const rank = ({ pid, container }: MountNamespace): number => (pid === container.init ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b));
}
