import { readlinkSync } from "node:fs";
import { errnoOf, messageOf } from "../errors.js";
import type { ContainerIdentity } from "../native/binding.js";
import { allProcesses } from "../processes.js";
import { failureOf, type HelperReport, isShortage } from "./helper.js";

/** Processes of one namespace that are kept: one is enough unless it ends. */
const MAX_PIDS = 8;
/** How often all processes are walked while those of a namespace end faster than they can be asked about. */
const MAX_WALKS = 3;

/** A mount namespace that is not the host's, and processes in it. */
export interface MountNamespace<C extends ContainerIdentity = ContainerIdentity> {
  /** Its inode number. */
  readonly key: number;
  /** The init of the container if that is in it, else several processes, because each may end. */
  readonly pids: readonly number[];
  /** The container that the processes are in. */
  readonly container: C;
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

/** identityOf() of the native binding, or locationOf(). */
export type Identify<C extends ContainerIdentity> = (pid: number) => C | null;

/** The container of a process; undefined for processes of the host and for those that have ended. */
export function containerOf<C extends ContainerIdentity>(
  identify: Identify<C>,
  pid: number,
): C | undefined {
  if (link(pid, "pid") === link("self", "pid")) {
    return undefined;
  }
  try {
    return identify(pid) ?? undefined;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ESRCH" || code === "ENOENT" || code === "EXDEV") {
      return undefined;
    }
    throw error;
  }
}

/** containerOf(), or undefined if that fails for another reason than a shortage. */
function containerIfKnown<C extends ContainerIdentity>(
  identify: Identify<C>,
  pid: number,
): C | undefined {
  try {
    return containerOf(identify, pid);
  } catch (error) {
    if (isShortage(messageOf(error))) {
      throw error;
    }
    return undefined;
  }
}

/**
 * Walks processes. `take` gets one of every mount namespace that has processes of another PID namespace than
 * ours, and the next one until it returns true: then the namespace is settled.
 */
export function walkNamespaces(
  pids: readonly number[],
  settled: Set<number>,
  take: (pid: number, namespace: number) => boolean,
): void {
  const own = mountNamespaceOf(process.pid);
  const ownPids = link("self", "pid");
  for (const pid of pids) {
    const key = mountNamespaceOf(pid);
    if (key === undefined || key === own || settled.has(key) || link(pid, "pid") === ownPids) {
      continue;
    }
    if (take(pid, key)) {
      settled.add(key);
    }
  }
}

/**
 * All mount namespaces of containers: those of the containers' inits first, then the others. Each process is
 * asked about as soon as it is seen, and another one of its namespace if it has ended by then: PIDs say nothing
 * about which one lives long. A namespace whose container cannot be determined is left out: a container can
 * cause that, and must not affect others by it.
 */
export function listNamespaces<C extends ContainerIdentity>(
  identify: Identify<C>,
): MountNamespace<C>[] {
  const found = new Map<number, MountNamespace<C> & { readonly pids: number[] }>();
  const settled = new Set<number>();
  for (let walks = 0; walks < MAX_WALKS; walks += 1) {
    const missed = new Set<number>();
    walkNamespaces(allProcesses(), settled, (pid, key) => {
      const known = found.get(key);
      if (known !== undefined) {
        known.pids.push(pid);
        return known.pids.length >= MAX_PIDS;
      }
      const container = containerIfKnown(identify, pid);
      if (container === undefined) {
        missed.add(key);
        return mountNamespaceOf(pid) === key;
      }
      const isMain = mountNamespaceOf(container.init) === key;
      found.set(key, { key, pids: [isMain ? container.init : pid], container });
      return isMain;
    });
    // All its processes that there were have ended: it may have others now.
    if ([...missed].every((key) => settled.has(key) || found.has(key))) {
      break;
    }
    for (const key of found.keys()) {
      settled.add(key);
    }
  }
  const rank = ({ pids, container }: MountNamespace): number =>
    pids[0] === container.init ? 0 : 1;
  return [...found.values()].sort((a, b) => rank(a) - rank(b));
}

/** Runs the helper in a namespace, and again by another process if the one that it had has ended. */
export async function runInside(
  { key, pids }: MountNamespace,
  run: (pid: number) => Promise<HelperReport>,
): Promise<HelperReport> {
  const isThere = (pid: number): boolean => mountNamespaceOf(pid) === key;
  let pid = pids.find(isThere) ?? pids[0] ?? 0;
  for (;;) {
    const report = await run(pid);
    const next = pids.slice(pids.indexOf(pid) + 1).find(isThere);
    if (failureOf(report) === undefined || isThere(pid) || next === undefined) {
      return report;
    }
    pid = next;
  }
}
