import type { Command } from "commander";
import {
  checkServing,
  companionsOf,
  engineOf,
  engineOptions,
  makeCallsDirectory,
} from "../compose.js";
import { COMMON_KEYS, CONFIG_KEYS, type Config, kebabOf } from "../config.js";
import { refusePipe } from "../config-load.js";
import { serve } from "../daemon.js";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { execKeeper, inheritsMount, keeperProgram, programFiles, stampOf } from "../keeper.js";
import { createLogger, isText, type Logger } from "../log.js";
import { readMounts } from "../mountinfo.js";
import { isOnTop, isOurs, mountOf, prepareMountpoint, realSystem } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";
import {
  makePolledMountpoint,
  NO_SECOND_MOUNT,
  preparePolled,
  removePolledMountpoint,
} from "../polled.js";
import { servingFlags } from "../serving-flags.js";
import { printable } from "../text.js";
import { type Context, configFileFor, configFor, toJson } from "./context.js";
import { addConfigFlags } from "./flags.js";
import { shortenHelp } from "./help.js";

/** One line with the path for errors of mount(2) and of the addon. */
function startError(error: unknown, mountpoint: string): unknown {
  if (error instanceof VprocfsError || errnoOf(error) === undefined) {
    return error;
  }
  return new VprocfsError("SYSTEM", `${printable(mountpoint)}: cannot mount: ${messageOf(error)}`, {
    cause: error,
  });
}

/** How `run` was asked to mount. */
interface RunRequest {
  /** A keeper is to mount, rather than this process. */
  readonly keeper: boolean;
  /** stampOf() of the configuration file and of the programs, from before the file was read. */
  readonly stamps: readonly string[];
  /** Warnings about the configuration, which are logged. */
  readonly warnings: readonly string[];
}

/**
 * By default Node opens its debugger on a port when it gets SIGUSR1, which `systemctl kill` sends to all processes
 * of the service. src/cli.ts takes the signal, and before that runs nothing can be listened on at this address
 * (RFC 5737), which no host has. (--disable-sigusr1 is no option of the Node that the node may have tomorrow.)
 */
const NO_DEBUGGER = "--inspect-port=192.0.2.1:9229";

/** Becomes the keeper, which mounts or continues with the mount of an earlier keeper. */
function becomeKeeper(
  binding: NativeBinding,
  config: Config,
  mountpoint: string,
  { polled, stamps }: { polled: string | undefined; stamps: readonly string[] },
): never {
  const [program = "", , ...options] = process.argv.slice(1);
  const worker = {
    command: [process.execPath, "--expose-gc", NO_DEBUGGER, program, "worker", ...options],
    stamps,
  };
  const place = { polled, json: !isText(config.logFormat) };
  execKeeper(binding, { ...config, mountpoint }, place, worker);
}

/** Makes the second mount point with `make`; undefined, with a warning, if that fails. */
async function polledPlace(
  log: Logger,
  make: () => string | Promise<string>,
): Promise<string | undefined> {
  try {
    return await make();
  } catch (error) {
    log.warn({ reason: messageOf(error) }, NO_SECOND_MOUNT);
    return undefined;
  }
}

/** Becomes the keeper, which mounts and starts workers; without a keeper mounts and serves itself. */
async function run(context: Context, config: Config, request: RunRequest): Promise<void> {
  const { keeper: hasKeeper, stamps, warnings } = request;
  const log = createLogger(config.logLevel, config.logFormat);
  const inherits = hasKeeper && inheritsMount(context.env, process.pid);
  // Metrics that are broken must not keep containers from their files: a service would not start at boot.
  const warn = (reason: string): void => log.warn({ reason }, "cannot serve metrics");
  await checkServing(config, hasKeeper ? warn : undefined);
  const binding = context.addon();
  // Before anything is changed, so that a missing package is reported first.
  const engine = await engineOf(config, binding);
  for (const warning of warnings) {
    log.warn(warning);
  }
  const system = realSystem((path) => binding.unmount(path));
  if (inherits) {
    const mount = mountOf(readMounts(), config.mountpoint);
    if (mount !== undefined && isOurs(mount, config)) {
      const polled = await polledPlace(log, () => makePolledMountpoint(mount.mountpoint));
      becomeKeeper(binding, config, mount.mountpoint, { polled, stamps });
    }
  }
  const { path, removed } = await prepareMountpoint(system, config.mountpoint, config);
  if (removed > 0) {
    log.warn({ mountpoint: path, removed }, "removed the dead mount of an earlier vprocfs");
  }
  // An inherited mount must not be asked anything: nobody answers it yet.
  const makePolled = (): string | Promise<string> =>
    inherits ? makePolledMountpoint(path) : preparePolled(system, path, config);
  const polledMountpoint =
    config.engine === "native" ? await polledPlace(log, makePolled) : undefined;
  if (hasKeeper) {
    becomeKeeper(binding, config, path, { polled: polledMountpoint, stamps });
  }
  makeCallsDirectory(config);
  try {
    const status = await serve({
      engine,
      options: {
        mountpoint: path,
        ...(polledMountpoint === undefined ? {} : { polledMountpoint }),
        ...engineOptions(config),
      },
      log,
      companions: companionsOf(binding, config, { mountpoint: path, hasKeeper: false, log }),
      unmount: () => isOnTop(system, path, config),
    });
    context.exit(status);
  } catch (error) {
    throw startError(error, path);
  } finally {
    if (polledMountpoint !== undefined) {
      removePolledMountpoint(polledMountpoint);
    }
  }
}

/** The configuration of a command that takes a mount point as its argument. */
function configOf(
  context: Context,
  command: Command,
  mountpoint: string | undefined,
  warn: (line: string) => void = () => {},
): Config {
  const flags = servingFlags(mountpoint, command.opts(), warn);
  return configFor(context, command, { flags, warn });
}

function addServingFlags(command: Command): void {
  command.argument("[MOUNTPOINT]", "where to mount (default: the configured mountpoint)");
  addConfigFlags(
    command,
    CONFIG_KEYS.filter((key) => key !== "mountpoint"),
  );
  command
    .option("--json", "the earlier spelling of --log-format json")
    .option("--no-watch", "the earlier spelling of --watch off")
    .option("--no-keeper", "serve in this process, for debugging: if it dies, the mount is dead");
}

/** `vprocfs run [MOUNTPOINT]` */
export function addRun(program: Command, context: Context): void {
  const command = program
    .command("run")
    .summary("mount and serve until stopped")
    .description(
      "Mounts the tree and serves it in the foreground. SIGTERM and SIGINT stop it and unmount; " +
        "SIGHUP replaces the worker (see reload).",
    );
  addServingFlags(command);
  shortenHelp(command, ["config", ...COMMON_KEYS.map(kebabOf), "print-config"], context.print);
  command
    .option(
      "--print-config",
      "print the configuration as JSON, check that it can be served, and exit",
    )
    .action(async (mountpoint: string | undefined, options: Record<string, unknown>) => {
      const file = configFileFor(context, command);
      const stamps = [file, ...programFiles()].map(stampOf);
      const warnings: string[] = [];
      const config = configOf(context, command, mountpoint, (line) => warnings.push(line));
      // A mount of libfuse cannot be handed to another process.
      const keeper = options.keeper !== false && config.engine === "native";
      if (options.printConfig === true) {
        const named = CONFIG_KEYS.map((key) => [kebabOf(key), config[key]]);
        context.print(toJson(Object.fromEntries(named)));
        for (const warning of warnings) {
          context.warn?.(warning);
        }
        // Scripts go by the status before they restart what serves, which needs all of this.
        await checkServing(config);
        context.addon();
        if (keeper) {
          keeperProgram();
        }
        return;
      }
      if (keeper) {
        refusePipe(file);
      }
      await run(context, config, { keeper, stamps, warnings });
    });
}
