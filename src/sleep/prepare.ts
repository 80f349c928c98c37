// Before a suspend: freezes the containers that have our files.  The kernel freezes processes in any order. A
// process that waits in poll(2) is woken to be frozen and polls its files again. If the worker is frozen
// already, that process waits for it and cannot be frozen, and the suspend fails after 20 s. So containers
// are frozen first, while the worker still answers.

import { ContainerTables, readMounts } from "../mountinfo.js";
import { type Identity, isOurs } from "../mountpoint.js";
import type { ContainerIdentity } from "../native/binding.js";
import {
  ancestorsOf,
  type Freezer,
  freezerOf,
  isFreezeRequested,
  isFrozen,
  setFrozen,
} from "./freezer.js";
import { isRecorded, recordFrozen } from "./record.js";

/** How long to wait until all containers stand still. */
const FROZEN_WITHIN_MS = 1000;
const LOOK_MS = 5;

export interface Prepared {
  /** Ids of the containers that are frozen, or are about to be. */
  readonly frozen: readonly string[];
  /** Ids of the containers that did not stand still in time, or could not be frozen. */
  readonly late: readonly string[];
}

/** A tenant whose mount tables are beyond this, or that has more containers, is frozen without reading them. */
const TABLE_BOUNDS = { tableMs: 100, tenantMs: 100, allMs: 1000, maxBytes: 4 << 20 } as const;
const MAX_TABLES = 32;

function hasOurs(
  { init, tenant }: ContainerIdentity,
  identity: Identity,
  tables: ContainerTables,
): boolean {
  try {
    const mounts = tables.kernelTreeMounts(tenant, `/proc/${init}/mountinfo`);
    return mounts.some((mount) => isOurs(mount, identity));
  } catch (error) {
    return error instanceof RangeError; // else it has ended
  }
}

/**
 * The containers to freeze: the outermost ones that have our files, in themselves or nested, each as a whole; and those
 * nested ones that have our files in a cgroup elsewhere (`docker run --cgroupns=host`) or around which there is no
 * freezer. The suspend waits for this, so no tenant may make it take long.
 */
function withOurs(
  containers: readonly ContainerIdentity[],
  identity: Identity,
  hasFreezer: (container: ContainerIdentity) => boolean,
): ContainerIdentity[] {
  const tables = new ContainerTables(TABLE_BOUNDS);
  const tenants = new Map<string, ContainerIdentity[]>();
  for (const one of containers) {
    tenants.set(one.tenant, [...(tenants.get(one.tenant) ?? []), one]);
  }
  const tops = new Map(
    containers
      .filter((one) => one.id === one.tenant && hasFreezer(one))
      .map(({ id, cgroup }) => [id, cgroup]),
  );
  return containers.filter((one) => {
    const top = tops.get(one.tenant);
    if (one.id !== one.tenant && top !== undefined && `${one.cgroup}/`.startsWith(`${top}/`)) {
      return false; // it stands still with what is around it
    }
    const all = one.id === one.tenant ? (tenants.get(one.id) ?? []) : [];
    return (
      (tenants.get(one.tenant) ?? []).length > MAX_TABLES ||
      hasOurs(one, identity, tables) ||
      all.some((other) => other !== one && hasOurs(other, identity, tables))
    );
  });
}

/** Freezes one container, unless somebody else has. Returns whether to wait for it. */
function freeze(record: string, freezer: Freezer): boolean {
  // Recorded by an earlier `sleep pre` without a `sleep post`.
  const isKnown = isRecorded(record, freezer);
  if (!isKnown) {
    if (isFreezeRequested(freezer)) {
      return false;
    }
    recordFrozen(record, freezer);
  }
  if (!setFrozen(freezer, true)) {
    return false;
  }
  // A worker that has just started may have taken the record before the container was frozen.
  if (!isRecorded(record, freezer)) {
    recordFrozen(record, freezer);
  }
  return true;
}

/**
 * Freezes the containers that have our files. A container is left alone if somebody else has frozen it, or if
 * one of the processes `serving`, or this process, runs in it.
 */
export async function freezeContainers(options: {
  readonly containers: readonly ContainerIdentity[];
  readonly identity: Identity;
  readonly serving: readonly number[];
  readonly record: string;
}): Promise<Prepared> {
  const { containers, identity, serving, record } = options;
  const mounts = readMounts();
  const excluded = [...new Set([process.pid, ...serving].flatMap((pid) => ancestorsOf(pid)))];
  const ours: [string, Freezer][] = [];
  const failed: string[] = [];
  const freezerFor = (container: ContainerIdentity) => freezerOf(container, mounts, excluded);
  const hasFreezer = (container: ContainerIdentity) => freezerFor(container) !== undefined;
  for (const container of withOurs(containers, identity, hasFreezer)) {
    const freezer = freezerFor(container);
    try {
      if (freezer !== undefined && freeze(record, freezer)) {
        ours.push([container.id, freezer]);
      }
    } catch {
      failed.push(container.id); // the others are frozen all the same
    }
  }
  const until = performance.now() + FROZEN_WITHIN_MS;
  const moving = () => ours.filter(([, freezer]) => !isFrozen(freezer)).map(([id]) => id);
  let late = moving();
  while (late.length > 0 && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    late = moving();
  }
  return { frozen: ours.map(([id]) => id), late: [...late, ...failed] };
}
