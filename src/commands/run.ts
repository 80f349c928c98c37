import { resolve } from "node:path";
import type { Command } from "commander";
import { CONFIG_KEYS, type Config, kebabOf } from "../config.js";
import { serve } from "../daemon.js";
import { nativeEngine } from "../engine/native.js";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { createLogger } from "../log.js";
import { isOnTop, prepareMountpoint, realSystem } from "../mountpoint.js";
import { printable } from "../text.js";
import { type Context, configFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";

/** Errors of mount(2) and of the addon as one line with the path. */
function startError(error: unknown, mountpoint: string): unknown {
  if (error instanceof VprocfsError || errnoOf(error) === undefined) {
    return error;
  }
  return new VprocfsError("SYSTEM", `${printable(mountpoint)}: cannot mount: ${messageOf(error)}`, {
    cause: error,
  });
}

async function run(context: Context, config: Config): Promise<void> {
  const binding = context.addon();
  const log = createLogger(config.logLevel, config.logFormat);
  const system = realSystem((path) => binding.unmount(path));
  const { path, removed } = await prepareMountpoint(system, config.mountpoint, config);
  if (removed > 0) {
    log.warn({ mountpoint: path, removed }, "removed a dead mount of an earlier vprocfs");
  }
  const { fsType, source, maxThreads, maxOpenPerContainer, tickMs } = config;
  try {
    const status = await serve({
      engine: nativeEngine(binding),
      options: { mountpoint: path, fsType, source, maxThreads, maxOpenPerContainer, tickMs },
      log,
      unmount: () => isOnTop(system, path, config),
    });
    context.exit(status);
  } catch (error) {
    throw startError(error, path);
  }
}

/** `vprocfs run [MOUNTPOINT]` */
export function addRun(program: Command, context: Context): void {
  const command = program
    .command("run")
    .summary("mount and serve until stopped")
    .description(
      "Mounts the tree and serves it in the foreground. SIGTERM, SIGINT and SIGHUP stop it and unmount.",
    )
    .argument("[MOUNTPOINT]", "where to mount (default: the configured mountpoint)");
  addConfigFlags(
    command,
    CONFIG_KEYS.filter((key) => key !== "mountpoint"),
  );
  command
    .option("--json", "log as JSON, the same as --log-format json")
    .option("--print-config", "print the configuration as JSON and exit")
    .action(async (mountpoint: string | undefined, options: Record<string, unknown>) => {
      if (mountpoint !== undefined) {
        command.setOptionValue("mountpoint", resolve(mountpoint));
      }
      if (options.json === true && options.logFormat === undefined) {
        command.setOptionValue("logFormat", "json");
      }
      const config = configFor(context, command);
      if (options.printConfig === true) {
        const named = CONFIG_KEYS.map((key) => [kebabOf(key), config[key]]);
        context.print(toJson(Object.fromEntries(named)));
        return;
      }
      await run(context, config);
    });
}
