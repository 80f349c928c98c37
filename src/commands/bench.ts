import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { ExitStatus, VprocfsError } from "../errors.js";
import { installed } from "../layout.js";
import type { Context } from "./context.js";

const BENCH = installed("bench/run.mjs");

/**
 * `vprocfs bench [ARGUMENT]...`: the benchmark parses its own arguments and runs in its own process, so that this one
 * does not affect what it measures.
 */
export function addBench(program: Command, context: Context): void {
  program
    .command("bench")
    .summary("measure vprocfs and LXCFS on this machine")
    .description("Measures vprocfs and LXCFS on this machine; see vprocfs bench --help.")
    .argument("[ARGUMENTS...]", "arguments of the benchmark")
    .allowUnknownOption()
    .helpOption(false)
    .action(async (args: readonly string[]) => {
      if (!existsSync(BENCH)) {
        throw new VprocfsError("SYSTEM", "the benchmark is not installed here");
      }
      const child = spawn(process.execPath, [BENCH, ...args], { stdio: "inherit" });
      // It cleans up when it is ended, and is waited for. The terminal sends SIGINT to it as well.
      process.on("SIGINT", () => {});
      for (const signal of ["SIGTERM", "SIGHUP"] as const) {
        process.on(signal, () => child.kill(signal));
      }
      const status = await new Promise<number | null>((resolve, reject) => {
        child.once("error", reject);
        child.once("exit", resolve);
      });
      context.exit(status ?? ExitStatus.failure);
    });
}
