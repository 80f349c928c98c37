import type { Surveyed } from "../metrics/survey.js";
import { formatBytes } from "../text.js";
import type { Findings } from "./findings.js";

/** An OOM kill longer ago than this is only mentioned. */
const RECENT_S = 24 * 3600;
const NEAR_LIMIT = 0.95;
const MUCH_THROTTLED = 0.5;

function ago(seconds: number): string {
  if (seconds < 120) {
    return `${Math.max(0, Math.round(seconds))} s ago`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min ago` : `${Math.round(minutes / 60)} h ago`;
}

/** Says what a container is short of. */
export function checkUse(findings: Findings, container: Surveyed): void {
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
