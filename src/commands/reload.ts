import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { VprocfsError } from "../errors.js";
import { askFigures, type DaemonFigures } from "../figures.js";
import { askKeeper } from "../keeper.js";
import { readStatus } from "../keeper-status.js";
import { canonicalPath } from "../mountpoint.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

/**
 * How often the new worker is asked, and for how long: before it answers, and until it knows whether it can serve
 * metrics. An address that is in use has three seconds to become free (metrics/exporter.ts).
 */
const TRY_AGAIN_MS = 50;
const KNOWN_WITHIN_MS = 4000;

/** What the worker that serves says of itself; undefined if it does not answer, or does not know yet. */
async function figuresOfWorker(mountpoint: string): Promise<DaemonFigures | undefined> {
  try {
    const { workerPid } = await readStatus(mountpoint);
    const begun = performance.now();
    while (performance.now() - begun < KNOWN_WITHIN_MS) {
      const figures = await askFigures(mountpoint);
      if (figures?.pid === workerPid && figures.metricsPending !== true) {
        return figures;
      }
      await sleep(TRY_AGAIN_MS);
    }
  } catch {
    // The keeper has ended meanwhile.
  }
  return undefined;
}

/** `vprocfs reload` */
export function addReload(program: Command, context: Context): void {
  const command = program
    .command("reload")
    .summary("replace the worker, for an upgrade or a new configuration")
    .description(
      "Starts a new worker. When it is ready the old one hands over, and no reader notices. If the new " +
        "one does not start, the old one continues and this command says why.",
    );
  addConfigFlags(command, ["mountpoint"])
    .option("--json", "print JSON")
    .action(async (options: { json?: boolean }) => {
      const mountpoint = canonicalPath(servingConfigFor(context, command).mountpoint);
      const result = await askKeeper(mountpoint, "reload");
      if (result !== "ok") {
        const why = result === "" ? "the keeper went away" : result;
        throw new VprocfsError("SYSTEM", `${mountpoint}: not reloaded: ${why}`);
      }
      const problem = (await figuresOfWorker(mountpoint))?.metricsProblem ?? "";
      if (problem !== "") {
        context.warn?.(`it serves without metrics: ${problem}`);
      }
      context.print(options.json === true ? toJson({ mountpoint, result }) : "reloaded");
    });
}
