import type { Command } from "commander";
import { alignedLines } from "../columns.js";
import { askFigures, type DaemonFigures } from "../figures.js";
import { readStatus, type Status } from "../keeper-status.js";
import { canonicalPath } from "../mountpoint.js";
import { counted } from "../text.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

/** The keeper's words for the standby worker, explained. */
const STANDBY: Readonly<Record<string, string>> = {
  none: "not ready yet",
  off: "off: a takeover waits for Node to start",
};

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The next keeper knows the number of restarts, but not the reasons. */
function lastReasons({ reasons, restarts }: Status): string {
  const none = restarts === 0 ? "none" : "not known: an earlier keeper had them";
  return reasons.join("; ") || none;
}

/** The use of shared resources, if the worker answers. */
function sharedOf(figures: DaemonFigures | undefined): string {
  const parts = Object.entries(figures?.resources ?? {}).map(([name, { used, limit, refused }]) => {
    const often = refused === 0 ? "" : ` (refused ${counted(refused, "time")})`;
    return `${name.replaceAll("_", " ")} ${used} of ${limit}${often}`;
  });
  return parts.join(", ") || "unknown: the worker does not answer";
}

function keeperDies({ stored }: Status): string {
  return stored > 0
    ? `the next one continues: the service manager holds ${stored} descriptors`
    : "the worker continues, but nothing replaces it if it dies";
}

/** What hides the mount from others than the containers that have its files. */
function trouble({ covered, mounted }: Status): string {
  if (covered) {
    return ", but something is mounted over it";
  }
  return mounted === false ? ", but not mounted here any more" : "";
}

function asTable(mountpoint: string, status: Status, figures: DaemonFigures | undefined): string {
  const takeover = status.resend
    ? "requests in flight are resent (Linux 6.9)"
    : "requests in flight fail, all others wait";
  return alignedLines([
    ["mountpoint", mountpoint],
    ["state", `${status.state}${trouble(status)}`],
    ["worker pid", `${status.workerPid}, up ${seconds(status.workerUptimeMs)}`],
    ["keeper pid", `${status.keeperPid}, mounted for ${seconds(status.uptimeMs)}`],
    ["generation", String(status.generation)],
    [
      "restarts",
      `${status.restarts}${status.failuresInARow > 1 ? `, ${status.failuresInARow} in a row` : ""}`,
    ],
    ["last reasons", lastReasons(status)],
    ["requests", `${status.requests}, resent ${status.resent}`],
    ["standby", STANDBY[status.standby] ?? status.standby],
    ["damaged states", `${status.statesIgnored} ignored`],
    ...(status.undying > 0 ? [["not ended", counted(status.undying, "killed worker")]] : []),
    ...(status.descriptorsLost > 0 ? [["lost descriptors", `${status.descriptorsLost}`]] : []),
    ["system calls", `${status.descriptors} descriptors are kept for the next worker`],
    ["shared by all", sharedOf(figures)],
    ...(figures?.watchProblem ? [["new containers", "only hooks find them: see doctor"]] : []),
    ["when the keeper dies", keeperDies(status)],
    ["when a worker dies", takeover],
    ["FUSE protocol", status.protocol],
    ["watchdog, patience", `${seconds(status.watchdogMs)}, ${seconds(status.patienceMs)}`],
  ]).join("\n");
}

/** `vprocfs status` */
export function addStatus(program: Command, context: Context): void {
  const command = program
    .command("status")
    .summary("show the state of the mount and its worker")
    .description(
      "Shows generation, uptime, restarts and their reasons, as the keeper reports them.",
    );
  addConfigFlags(command, ["mountpoint"], ["metrics"])
    .option("--json", "print JSON")
    .action(async (options: { json?: boolean }) => {
      const config = servingConfigFor(context, command);
      const mountpoint = canonicalPath(config.mountpoint);
      const status = await readStatus(mountpoint);
      const figures = await askFigures(mountpoint);
      const shared = figures?.resources ?? {};
      context.print(
        options.json === true
          ? toJson({ mountpoint, ...status, shared })
          : asTable(mountpoint, status, figures),
      );
    });
}
