import type { Figures, Surveyed } from "../metrics/survey.js";
import { formatBytes } from "../text.js";
import type { Findings } from "./findings.js";
import { memoryUse } from "./memory-use.js";

/** An OOM kill or a shortage longer ago than this is only mentioned. */
export const RECENT_S = 24 * 3600;
/** Share of memory in use from which it is reported. */
export const NEAR_LIMIT = 0.95;
const MUCH_THROTTLED = 0.5;

export function ago(seconds: number): string {
  if (seconds < 120) {
    return `${Math.max(0, Math.round(seconds))} s ago`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

function checkMemory(findings: Findings, figures: Figures): void {
  if (figures.get("memoryUsage") === undefined) {
    // A cgroup above may have a limit all the same.
    const limit = figures.get("memoryLimit") ?? Number.POSITIVE_INFINITY;
    const total = figures.get("memoryTotal") ?? 0;
    const sees =
      limit < total + 1024
        ? "the limit of an ancestor cgroup, and the usage of everything in it"
        : "the host's";
    findings.add(
      "warning",
      `its memory is not accounted: it sees ${sees}`,
      "enable the memory controller in the parent of its cgroup (cgroup.subtree_control)",
    );
  }
  const use = memoryUse(figures);
  if (use !== undefined && use.used / use.total > NEAR_LIMIT) {
    findings.add(
      "warning",
      `${Math.round((100 * use.used) / use.total)} % of the ${formatBytes(use.total)} memory that its limits allow is in use`,
      "raise the limit, or find what grows below it ('vprocfs explain', 'vprocfs top --sort used')",
    );
  }
}

function checkKills(findings: Findings, { figures, lastVictim }: Surveyed): void {
  const kills = figures.get("oomKills") ?? 0;
  if (kills === 0) {
    return;
  }
  const last = figures.get("lastOomTime");
  const since = last === undefined ? undefined : Date.now() / 1000 - last;
  const victim = lastVictim === "" ? "" : ` of ${lastVictim}`;
  const when = since === undefined ? "" : `, the last${victim} ${ago(since)}`;
  const isRecent = since !== undefined && since < RECENT_S;
  const isLimited = figures.get("memoryLimit") !== undefined;
  const todo = isLimited
    ? "raise its memory limit, or find what grows"
    : "find what grows ('vprocfs top --sort used'); it has no memory limit";
  findings.add(
    isRecent ? "warning" : "info",
    `${kills} OOM ${kills === 1 ? "kill" : "kills"}${when}`,
    isRecent ? todo : undefined,
  );
}

/** The share of periods in which a container's quota was used up; undefined: there were too few to tell. */
function throttledShare(figures: Figures, earlier: Figures | undefined, atLeast: number) {
  const growth = (name: string): number =>
    (figures.get(name) ?? 0) - (earlier === undefined ? 0 : (earlier.get(name) ?? 0));
  const periods = growth("periods");
  return periods < atLeast ? undefined : growth("throttledPeriods") / periods;
}

function isMuch(share: number | undefined): share is number {
  return share !== undefined && share > MUCH_THROTTLED;
}

/** Whether a container's quota was used up often since it started: a later survey says whether it still is. */
export function wasThrottled(figures: Figures): boolean {
  return isMuch(throttledShare(figures, undefined, 100));
}

function checkThrottling(findings: Findings, figures: Figures, later: Figures | undefined): void {
  const share = throttledShare(figures, undefined, 100);
  if (!isMuch(share)) {
    return;
  }
  const now = later === undefined ? undefined : throttledShare(later, figures, 5);
  const usedUp = (of: number): string => `it used up its CPU quota in ${Math.round(100 * of)} % of`;
  if (isMuch(now)) {
    const todo = "give it more CPUs; it sees this as steal time";
    findings.add("warning", `${usedUp(now)} the periods during this check`, todo);
  } else {
    const isOver = now === undefined ? "" : ", but not now";
    findings.add("info", `${usedUp(share)} all periods since it started${isOver}`);
  }
}

/** Says what a container is short of. `later` has its figures of a moment later, for what must still be so. */
export function checkUse(
  findings: Findings,
  container: Surveyed,
  later: Figures | undefined,
): void {
  checkMemory(findings, container.figures);
  checkKills(findings, container);
  checkThrottling(findings, container.figures, later);
}
