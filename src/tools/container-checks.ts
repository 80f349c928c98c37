import { readFileSync } from "node:fs";
import type { ExclusionReason } from "../attach/selection.js";
import type { Config } from "../config.js";
import { errnoOf, messageOf } from "../errors.js";
import type { Surveyed, Surveys } from "../metrics/survey.js";
import { type Mount, mountAt, readKernelTreeMounts } from "../mountinfo.js";
import { isLxcfs, isOurs } from "../mountpoint.js";
import { formatBytes, shellWord } from "../text.js";
import { type Finding, Findings } from "./findings.js";

const WITHIN_MS = 3000;
/** An OOM kill longer ago than this is only mentioned. */
const RECENT_S = 24 * 3600;
const NEAR_LIMIT = 0.95;
const MUCH_THROTTLED = 0.5;

export interface ContainerInputs {
  readonly surveys: Pick<Surveys, "readInside">;
  readonly config: Config;
  /** "major:minor" of the live mount; undefined when there is none. */
  readonly device: string | undefined;
  /** The same of the second mount, for files that can be polled. */
  readonly polledDevice?: string | undefined;
  /** The devices of all mounts of the host. */
  readonly devices: ReadonlySet<string>;
  /** Why the watcher leaves a container alone. */
  readonly exclusionReason: ExclusionReason;
  /** Files that a container should have, such as proc/meminfo. */
  readonly paths: readonly string[];
  /** /proc/meminfo of the host itself. */
  readonly hostMeminfo: string;
}

function mountsOf(init: number): Mount[] | undefined {
  try {
    return readKernelTreeMounts(`/proc/${init}/mountinfo`);
  } catch {
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
      (live.includes(top.device) ? found.live : found.dead).push(path);
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
  name: string,
  isServed: boolean,
  exclusionReason: string | undefined,
): void {
  const { live, missing, foreign, dead, shadowed, lxcfs } = mounted;
  const hasNone = live.length + dead.length + lxcfs.length === 0;
  // If nobody serves, the findings about vprocfs say what to do first.
  const attach = isServed ? `vprocfs attach ${shellWord(name)}` : undefined;
  if (dead.length > 0) {
    const ended = isServed ? "has ended" : "has ended, or is not mounted on the host any more";
    findings.add("problem", `mounted from a vprocfs or LXCFS that ${ended}: ${few(dead)}`, attach);
  }
  if (shadowed.length > 0) {
    findings.add(
      "warning",
      `something is mounted over: ${few(shadowed)}`,
      "see /proc/self/mountinfo inside; systemd's sandboxing does this",
    );
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

class NoAnswer extends Error {}

async function readWithin(
  { surveys, device = "" }: ContainerInputs,
  { init, path, directory }: { init: number; path: string; directory: string },
): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer("does not answer")), WITHIN_MS);
  });
  try {
    return await Promise.race([surveys.readInside(init, path, device, directory), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function checkFigures(
  findings: Findings,
  container: Surveyed,
  mounted: Mounted,
  mounts: readonly Mount[],
  inputs: ContainerInputs,
): Promise<void> {
  const { figures, init } = container;
  const proc = mountAt(mounts, "/proc");
  const directory = proc?.fsType === "proc" ? proc.device : "";
  const right: string[] = [];
  // Each file fails at most once, and after one that does not answer no other is read.
  const failed = new Set<string>();
  let answers = true;
  const compare = async (
    path: string,
    what: string,
    expected: number | undefined,
    ofHost: number,
    parse: (text: string) => number | undefined,
  ): Promise<void> => {
    if (!mounted.live.includes(path) || expected === undefined || failed.has(path) || !answers) {
      return;
    }
    try {
      const found = parse(await readWithin(inputs, { init, path: `/${path}`, directory }));
      if (found === expected) {
        right.push(`${what} ${found}`);
      } else if (found === ofHost) {
        // A file bound from the host shows each reader the reader's own figures, and the reader was this process.
        findings.add("info", `${what} inside depends on the caller: not checked`);
      } else {
        findings.add("problem", `${what} inside is ${found}, its cgroup says ${expected}`);
      }
    } catch (error) {
      failed.add(path);
      answers = !(error instanceof NoAnswer);
      const code = errnoOf(error);
      if (code === "EAGAIN" || code === "EXDEV") {
        findings.add(
          "info",
          `/${path} inside: not checked, because the container's own file system would answer`,
        );
      } else if (code !== "ESRCH") {
        findings.add("problem", `/${path} inside: ${messageOf(error)}`);
      }
    }
  };
  for (const [label, figure] of [
    ["MemTotal", "memoryTotal"],
    ["SwapTotal", "swapTotal"],
  ] as const) {
    const bytes = figures.get(figure);
    const expected = bytes === undefined ? undefined : bytes / 1024;
    const parse = (text: string): number =>
      Number(new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(text)?.[1]);
    await compare("proc/meminfo", `${label} (kB)`, expected, parse(inputs.hostMeminfo), parse);
  }
  const countCpus = (text: string): number => (text.match(/^cpu\d+ /gm) ?? []).length;
  await compare(
    "proc/stat",
    "number of CPUs",
    figures.get("cpus"),
    countCpus(readFileSync("/proc/stat", "utf8")),
    countCpus,
  );
  if (right.length > 0) {
    findings.add("ok", `sees what its cgroup says: ${right.join(", ")}`);
  }
}

function ago(seconds: number): string {
  if (seconds < 120) {
    return `${Math.max(0, Math.round(seconds))} s ago`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

function checkUse(findings: Findings, container: Surveyed): void {
  const { figures, lastVictim } = container;
  if (figures.get("memoryUsage") === undefined) {
    findings.add(
      "warning",
      "its memory is not accounted: it sees the host's",
      "enable the memory controller in the parent of its cgroup (cgroup.subtree_control)",
    );
  }
  const [total, available] = [figures.get("memoryTotal"), figures.get("memoryAvailable")];
  if (total !== undefined && available !== undefined && 1 - available / total > NEAR_LIMIT) {
    findings.add(
      "warning",
      `${Math.round(100 * (1 - available / total))} % of ${formatBytes(total)} memory is in use`,
      "raise its memory limit, or find what grows ('vprocfs explain', 'vprocfs top')",
    );
  }
  const kills = figures.get("oomKills") ?? 0;
  const last = figures.get("lastOomTime");
  if (kills > 0) {
    const since = last === undefined ? undefined : Date.now() / 1000 - last;
    const victim = lastVictim === "" ? "" : ` of ${lastVictim}`;
    const when = since === undefined ? "" : `, the last${victim} ${ago(since)}`;
    const isRecent = since !== undefined && since < RECENT_S;
    findings.add(
      isRecent ? "warning" : "info",
      `${kills} OOM ${kills === 1 ? "kill" : "kills"}${when}`,
      isRecent ? "raise its memory limit, or find what grows" : undefined,
    );
  }
  const [periods, throttled] = [figures.get("periods") ?? 0, figures.get("throttledPeriods") ?? 0];
  if (periods > 100 && throttled / periods > MUCH_THROTTLED) {
    findings.add(
      "warning",
      `its CPU quota was used up in ${Math.round((100 * throttled) / periods)} % of all periods`,
      "give it more CPUs; it sees this as steal time",
    );
  }
}

/** Looks at one container from outside. */
export async function checkContainer(
  container: Surveyed,
  inputs: ContainerInputs,
): Promise<Finding[]> {
  const { id, name, init } = container;
  const findings = new Findings(name, id);
  const mounts = mountsOf(init);
  if (mounts !== undefined) {
    const mounted = sortMounts(mounts, inputs.paths, inputs);
    const isServed = inputs.device !== undefined;
    checkMounts(findings, mounted, name, isServed, inputs.exclusionReason(container));
    await checkFigures(findings, container, mounted, mounts, inputs);
  }
  checkUse(findings, container);
  return findings.list;
}
