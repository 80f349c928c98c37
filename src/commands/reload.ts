import type { Command } from "commander";
import { VprocfsError } from "../errors.js";
import { askKeeper } from "../keeper.js";
import { canonicalPath } from "../mountpoint.js";
import { type Context, servingConfigFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

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
      context.print(options.json === true ? toJson({ mountpoint, result }) : "reloaded");
    });
}
