import type { Command } from "commander";
import { VprocfsError } from "../errors.js";
import { askFigures } from "../figures.js";
import { readStatus } from "../keeper-status.js";
import { canonicalPath } from "../mountpoint.js";
import { requireRoot } from "../root.js";
import { freezeContainers, type Prepared } from "../sleep/prepare.js";
import { SLEEP_RECORD, thawRecorded } from "../sleep/record.js";
import { requireSight } from "../unseen.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

const NOTHING: Prepared = { frozen: [], late: [] };

/** The processes that serve a mount point; undefined where none does. */
async function servingAt(mountpoint: string): Promise<readonly number[] | undefined> {
  try {
    // The keeper answers even if the worker is busy or just starting.
    const { keeperPid, workerPid } = await readStatus(mountpoint);
    return [keeperPid, workerPid].filter((pid) => pid > 0);
  } catch {
    // There is no keeper, or it is of another version.
    const figures = await askFigures(mountpoint);
    return figures && (figures.pid === undefined ? [] : [figures.pid]);
  }
}

/** Freezes containers, unless no vprocfs serves: then no program can wait for it. */
async function before(context: Context, command: Command): Promise<Prepared> {
  const config = servingConfigFor(context, command);
  const mountpoint = canonicalPath(config.mountpoint);
  const serving = await servingAt(mountpoint);
  if (serving === undefined) {
    return NOTHING;
  }
  await requireSight(mountpoint);
  return freezeContainers({
    containers: context.addon().locateContainers(),
    identity: config,
    serving,
    record: SLEEP_RECORD,
  });
}

/** `vprocfs sleep pre|post` */
export function addSleep(program: Command, context: Context): void {
  const command = program
    .command("sleep")
    .summary("freeze containers before the node suspends, thaw them afterwards")
    .description(
      "Run it with pre before the node suspends and with post afterwards; systemd does this " +
        "automatically. Containers that have the files are frozen in between, because programs " +
        "in them that poll files could keep the node from suspending. Without post they stay frozen " +
        "until the node has been awake for two minutes.",
    )
    .argument("<WHEN>", "pre or post");
  addConfigFlags(command, ["mountpoint"])
    .option("--json", "print JSON")
    .action(async (when: string, options: { readonly json?: boolean }) => {
      if (when !== "pre" && when !== "post") {
        throw new VprocfsError("USAGE", `expected pre or post, not '${when}'`);
      }
      requireRoot();
      if (when === "post") {
        const thawed = thawRecorded(SLEEP_RECORD);
        context.print(options.json === true ? toJson({ thawed }) : `thawed: ${thawed}`);
        return;
      }
      const { frozen, late } = await before(context, command);
      if (late.length > 0) {
        context.warn?.(`not frozen in time: ${late.join(" ")}`);
      }
      context.print(options.json === true ? toJson({ frozen, late }) : `frozen: ${frozen.length}`);
    });
}
