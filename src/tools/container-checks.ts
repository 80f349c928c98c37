import type { ExclusionReason } from "../attach/selection.js";
import type { Config } from "../config.js";
import { messageOf } from "../errors.js";
import type { Figures, Surveyed } from "../metrics/survey.js";
import { type ContainerTables, type Mount, mountAt } from "../mountinfo.js";
import { isLxcfs, isOurs } from "../mountpoint.js";
import { type Finding, Findings } from "./findings.js";
import { checkFigures, type Inside } from "./inside.js";
import { checkUse } from "./use-checks.js";

/** What checkContainer() needs to know besides the container. */
export interface ContainerInputs {
  /** Reads inside; undefined: the mount does not serve. */
  readonly inside: Inside | undefined;
  /** Flags that name the vprocfs at hand in an advised command, each with a blank before it. */
  readonly flags: string;
  readonly config: Config;
  /** "major:minor" of the mount; undefined when there is none that lives. */
  readonly device: string | undefined;
  /** The same of the second mount, for files that can be polled. */
  readonly polledDevice?: string | undefined;
  /** The devices of all mounts of the host but dead ones of this vprocfs. */
  readonly devices: ReadonlySet<string>;
  /** Why the watcher leaves a container alone. */
  readonly exclusionReason: ExclusionReason;
  /** Files that a container should have, such as proc/meminfo. */
  readonly paths: readonly string[];
  /** Figures of a moment later by container, as far as checkUse() needs them. */
  readonly later: ReadonlyMap<string, Figures>;
  /** /proc/meminfo of the host itself. */
  readonly hostMeminfo: string;
  readonly tables: ContainerTables;
}

/** How long mount tables of containers may take. */
export const TABLE_BOUNDS = { tableMs: 1000, tenantMs: 2000 } as const;

/** Why the watcher leaves containers alone, and a finding where that cannot be read, because something is short. */
export function readExclusion(read: () => ExclusionReason): {
  readonly exclusionReason: ExclusionReason;
  readonly unread: readonly Finding[];
} {
  try {
    return { exclusionReason: read(), unread: [] };
  } catch (error) {
    const what = `cannot read which containers are left alone (${messageOf(error)}): one without files may be left alone on purpose`;
    const unread = [{ level: "warning", about: "vprocfs", what }] as const;
    return { exclusionReason: () => undefined, unread };
  }
}

/** Undefined: they cannot be read, because the container has ended or as a finding says. */
function mountsOf(
  { init, tenant }: Surveyed,
  tables: ContainerTables,
  findings: Findings,
): Mount[] | undefined {
  try {
    return tables.kernelTreeMounts(tenant, `/proc/${init}/mountinfo`);
  } catch (error) {
    if (error instanceof RangeError) {
      findings.add(
        "warning",
        "mounts not checked: reading its mount table, or those of other containers in its outermost one, takes too long",
      );
    }
    return undefined;
  }
}

/** In sysfs whole directories are mounted, not files. */
const DIRECTORY = /^\/sys\/devices\/system\/(?:cpu|node)/;

function targetsOf(path: string): string[] {
  const target = `/${path}`;
  const directory = DIRECTORY.exec(target)?.[0];
  return directory === undefined ? [target] : [target, directory];
}

/** The files that a container should have: each is in one of these lists. */
interface Mounted {
  readonly live: readonly string[];
  readonly missing: readonly string[];
  /** Something else is mounted there, such as a runtime's mask. */
  readonly foreign: readonly string[];
  readonly dead: readonly string[];
  /** Ours, with something else mounted on top. */
  readonly shadowed: readonly string[];
  /** Of another vprocfs that is mounted on the host. */
  readonly others: readonly string[];
  /** Mounted by an LXCFS that is running. */
  readonly lxcfs: readonly string[];
}

/** Sorts the paths by what the container has mounted there. */
export function sortMounts(
  mounts: readonly Mount[],
  paths: readonly string[],
  inputs: Pick<ContainerInputs, "device" | "devices" | "polledDevice"> & {
    readonly config: Pick<Config, "fsType" | "source">;
  },
): Mounted {
  const { config, device, devices, polledDevice } = inputs;
  const live = [device, polledDevice];
  const found = {
    live: [] as string[],
    missing: [] as string[],
    foreign: [] as string[],
    dead: [] as string[],
    shadowed: [] as string[],
    others: [] as string[],
    lxcfs: [] as string[],
  };
  for (const path of paths) {
    const targets = targetsOf(path);
    const top = targets
      .map((target) => mountAt(mounts, target))
      .find((mount) => mount !== undefined);
    const ours = mounts.filter(
      (mount) => targets.includes(mount.mountpoint) && isOurs(mount, config),
    );
    if (top !== undefined && isOurs(top, config)) {
      const other = devices.has(top.device) ? found.others : found.dead;
      (live.includes(top.device) ? found.live : other).push(path);
    } else if (top !== undefined && isLxcfs(top, config)) {
      (devices.has(top.device) ? found.lxcfs : found.dead).push(path);
    } else if (ours.length > 0) {
      found.shadowed.push(path);
    } else {
      (top === undefined ? found.missing : found.foreign).push(path);
    }
  }
  return found;
}

function few(paths: readonly string[]): string {
  const shown = paths
    .slice(0, 6)
    .map((path) => `/${path}`)
    .join(", ");
  return paths.length > 6 ? `${shown} and ${paths.length - 6} more` : shown;
}

function checkMounts(
  findings: Findings,
  mounted: Mounted,
  attach: string | undefined,
  exclusionReason: string | undefined,
): void {
  const { live, missing, foreign, dead, shadowed, others, lxcfs } = mounted;
  const hasNone = live.length + dead.length + others.length + lxcfs.length === 0;
  if (dead.length > 0) {
    const ended =
      attach !== undefined ? "has ended" : "has ended, or is not mounted on the host any more";
    findings.add("problem", `mounted from a vprocfs or LXCFS that ${ended}: ${few(dead)}`, attach);
  }
  if (shadowed.length > 0) {
    findings.add(
      "warning",
      `something is mounted over ${few(shadowed)}`,
      "see /proc/self/mountinfo inside; systemd's sandboxing does this",
    );
  }
  if (others.length > 0) {
    findings.add("info", `mounted from another vprocfs: ${few(others)}`);
  }
  if (lxcfs.length > 0 && live.length > 0) {
    findings.add(
      "warning",
      `${live.length} files are from vprocfs and ${lxcfs.length} from LXCFS, and their figures disagree: ${few(lxcfs)}`,
      attach,
    );
  } else if (lxcfs.length > 0) {
    findings.add("info", `mounted from LXCFS: ${few(lxcfs)}`, attach);
  }
  if (hasNone && exclusionReason !== undefined) {
    findings.add("info", `no file of vprocfs is mounted, on purpose: ${exclusionReason}`);
  } else if (hasNone) {
    findings.add(
      "warning",
      "no file of vprocfs is mounted: the container sees the node's figures",
      attach,
    );
  } else {
    if (missing.length > 0) {
      findings.add("info", `not mounted: ${few(missing)}`);
    }
    if (foreign.length > 0) {
      findings.add("info", `left alone, because something else is mounted there: ${few(foreign)}`);
    }
  }
}

/** Looks at one container from outside. */
export async function checkContainer(
  container: Surveyed,
  inputs: ContainerInputs,
): Promise<Finding[]> {
  const { id, name } = container;
  const findings = new Findings(name, id);
  const mounts = mountsOf(container, inputs.tables, findings);
  if (mounts !== undefined) {
    const mounted = sortMounts(mounts, inputs.paths, inputs);
    const { inside, flags, hostMeminfo } = inputs;
    // If nobody serves, the findings about vprocfs say what to do first. Another container may have this one's name.
    const attach = inside === undefined ? undefined : `vprocfs attach ${id}${flags}`;
    checkMounts(findings, mounted, attach, inputs.exclusionReason(container));
    if (inside !== undefined) {
      await checkFigures(findings, container, mounted, mounts, { inside, hostMeminfo });
    }
  }
  checkUse(findings, container, inputs.later.get(id));
  return findings.list;
}
