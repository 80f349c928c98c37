import type { Command } from "commander";
import { findContainer } from "../containers/find.js";
import { readKernelLog } from "../klog/client.js";
import type { KernelLogRecord } from "../native/session.js";
import { type Context, servingConfigFor } from "./context.js";
import { addConfigFlags } from "./flags.js";
import { requireMount } from "./show.js";

const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"] as const;
const US_PER_S = 1e6;

/** As dmesg(1) prints a record. */
function asText({ timeUs, text }: KernelLogRecord): string {
  return `[${(timeUs / US_PER_S).toFixed(6).padStart(12)}] ${text}`;
}

/** One object a line, so that it can be followed. */
function asJson({ sequence, timeUs, priority, text }: KernelLogRecord): string {
  const level = LEVELS[priority % LEVELS.length];
  const facility = Math.floor(priority / LEVELS.length);
  return JSON.stringify({ sequence, seconds: timeUs / US_PER_S, level, facility, text });
}

/** `vprocfs dmesg CONTAINER` */
export function addDmesg(program: Command, context: Context): void {
  const command = program
    .command("dmesg")
    .summary("show the kernel log of a container")
    .description(
      "Prints the kernel log of a container: OOM kills, faults, rejected forks. PIDs and " +
        "paths are those that the container knows.",
    )
    .argument("<CONTAINER>", "id, name, or the PID of any process in it")
    .option("-w, --follow", "wait for more records")
    .option("--json", "print one JSON object a line");
  addConfigFlags(command, ["mountpoint"]).action(
    async (word: string, options: { readonly json?: boolean; readonly follow?: boolean }) => {
      const config = servingConfigFor(context, command);
      const mountpoint = await requireMount(config);
      const { id } = findContainer(context.addon(), word);
      const form = options.json === true ? asJson : asText;
      await readKernelLog(mountpoint, id, options.follow === true, (record) => {
        context.print(form(record));
      });
    },
  );
}
