import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { patternsOf } from "../attach/glob.js";
import { helperSettings, removeSettings, writeSettings } from "../attach/settings.js";
import { isPassive } from "../attach/wanted.js";
import { Watcher } from "../attach/watcher.js";
import { CONFIG_KEYS, type Config, kebabOf } from "../config.js";
import { type Companion, serve } from "../daemon.js";
import type { Engine, EngineFactory } from "../engine/engine.js";
import { nativeEngine } from "../engine/native.js";
import { errnoOf, messageOf, VprocfsError } from "../errors.js";
import { execKeeper, inheritsMount, tellKeeper, workplace } from "../keeper.js";
import { createLogger, isText, type Logger } from "../log.js";
import { readMounts } from "../mountinfo.js";
import { isOnTop, isOurs, mountOf, prepareMountpoint, realSystem } from "../mountpoint.js";
import type { NativeBinding } from "../native/binding.js";
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

/** The part of the configuration that an engine wants. */
function engineOptions(config: Config) {
  const { fsType, source, maxThreads, maxOpenPerContainer, rendersPerSecond } = config;
  const { consistency, tickMs, bpf, maxTriggersPerContainer } = config;
  const place = { fsType, source, consistency, tickMs, bpf, maxTriggersPerContainer };
  const { callsDirectory: directory, callsPerSecond: perSecond } = config;
  const calls = { directory, perSecond, affinity: config.affinity === "shown" };
  const all = { ...place, maxThreads, maxOpenPerContainer, rendersPerSecond };
  return config.calls === "on" ? { ...all, calls } : all;
}

/** What cannot be made shows when the sockets cannot be made in it. */
function makeCallsDirectory({ calls, callsDirectory }: Config): void {
  if (calls === "on") {
    try {
      mkdirSync(callsDirectory, { recursive: true, mode: 0o700 });
    } catch {
      // Told by whoever wants to listen there.
    }
  }
}

interface Place {
  readonly mountpoint: string;
  readonly hasKeeper: boolean;
  readonly log: Logger;
}

/** Metrics: without them the engine serves on. */
function metricsOf(
  binding: NativeBinding,
  config: Config,
  place: Place,
  watcher: Watcher | undefined,
): Companion {
  const attaching = watcher && (() => watcher.state());
  // Loaded while a worker stands by, so that a takeover does not wait for it.
  const loading = Promise.all([import("../metrics/web-config.js"), import("../metrics/start.js")]);
  loading.catch(() => {});
  const begin = async (engine: Engine) => {
    try {
      const [{ readWebConfig }, { startMetrics }] = await loading;
      const web = readWebConfig(config.metricsWebConfig);
      return await startMetrics(engine, { binding, config, web, attaching, ...place });
    } catch (error) {
      place.log.error({ error: messageOf(error) }, "no metrics");
      return undefined;
    }
  };
  let running: ReturnType<typeof begin> | undefined;
  return {
    start: (engine) => {
      running = begin(engine);
    },
    stop: async () => (await running)?.close(),
  };
}

/** Throws when the file with TLS and passwords is not as it should be. */
async function checkWebConfig(config: Config): Promise<void> {
  if (config.metrics !== "off" && config.metricsWebConfig !== "") {
    const { readWebConfig } = await import("../metrics/web-config.js");
    readWebConfig(config.metricsWebConfig);
  }
}

/** The watcher, unless it is configured not to be. */
function watcherOf(
  config: Config,
  binding: NativeBinding,
  mountpoint: string,
  log: Logger,
): Watcher | undefined {
  const passive = isPassive(config);
  if (passive) {
    log.info(
      "this is vpsAdminOS, whose kernel shows containers their own: containers are left alone",
    );
  }
  if (config.watch === "off" || passive) {
    return undefined;
  }
  return new Watcher({
    binding,
    settings: helperSettings(config, mountpoint),
    only: patternsOf(config.attachOnly),
    exclude: patternsOf(config.attachExclude),
    nested: config.nested === "follow",
    tellId: config.engine === "fuse-native",
    log,
  });
}

/** What looks after containers while an engine serves: the settings of hooks, and the watcher. */
function attachingOf(
  config: Config,
  { mountpoint, log }: Place,
  watcher: Watcher | undefined,
): Companion {
  const detach = async (): Promise<void> => {
    try {
      const files = await watcher?.detachAll();
      log.info({ files }, "detached from all containers");
    } catch (error) {
      log.error({ error: messageOf(error) }, "not detached from all containers");
    }
  };
  return {
    start: () => {
      try {
        writeSettings(config, mountpoint);
      } catch (error) {
        log.warn({ error: messageOf(error) }, "hooks will not know the configuration");
      }
      watcher?.start();
    },
    stop: async (forGood) => {
      await watcher?.stop();
      if (forGood && watcher !== undefined && config.onStop === "detach") {
        await detach();
      }
      if (forGood) {
        removeSettings(mountpoint);
      }
    },
  };
}

function companionsOf(binding: NativeBinding, config: Config, place: Place): Companion[] {
  const watcher = watcherOf(config, binding, place.mountpoint, place.log);
  const attaching = attachingOf(config, place, watcher);
  return config.metrics === "off"
    ? [attaching]
    : [metricsOf(binding, config, place, watcher), attaching];
}

/** The chosen engine. Only the one that is chosen is loaded. */
async function engineOf(config: Config, binding: NativeBinding): Promise<EngineFactory> {
  if (config.engine === "native") {
    return nativeEngine(binding);
  }
  const { fuseNativeEngine } = await import("../engine/fuse-native.js");
  return fuseNativeEngine(binding);
}

/** Throws when the engine cannot do what is configured. */
function checkEngine(config: Config): void {
  if (config.engine === "fuse-native" && config.consistency === "tick") {
    throw new VprocfsError(
      "CONFIG",
      "engine fuse-native cannot do consistency tick: use --consistency exact or --engine native",
    );
  }
}

/** Becomes the keeper, which mounts, or goes on with the mount of an earlier one. */
function becomeKeeper(binding: NativeBinding, config: Config, mountpoint: string): never {
  const worker = [process.execPath, ...process.argv.slice(1)];
  worker[worker.indexOf("run")] = "worker";
  execKeeper(binding, { ...config, mountpoint }, !isText(config.logFormat), worker);
}

/** Mounts by itself, or becomes the keeper that mounts and has a worker serve. */
async function run(context: Context, config: Config, keeper: boolean): Promise<void> {
  checkEngine(config);
  await checkWebConfig(config);
  const binding = context.addon();
  // Before anything is touched: what is missing is told at once.
  const engine = await engineOf(config, binding);
  const log = createLogger(config.logLevel, config.logFormat);
  const system = realSystem((path) => binding.unmount(path));
  // Nobody can take over what libfuse has mounted.
  const hasKeeper = keeper && config.engine === "native";
  if (hasKeeper && inheritsMount(context.env, process.pid)) {
    const mount = mountOf(readMounts(), config.mountpoint);
    if (mount !== undefined && isOurs(mount, config)) {
      becomeKeeper(binding, config, mount.mountpoint);
    }
  }
  const { path, removed } = await prepareMountpoint(system, config.mountpoint, config);
  if (removed > 0) {
    log.warn({ mountpoint: path, removed }, "removed a dead mount of an earlier vprocfs");
  }
  if (hasKeeper) {
    becomeKeeper(binding, config, path);
  }
  makeCallsDirectory(config);
  try {
    const status = await serve({
      engine,
      options: { mountpoint: path, ...engineOptions(config) },
      log,
      companions: companionsOf(binding, config, { mountpoint: path, hasKeeper: false, log }),
      unmount: () => isOnTop(system, path, config),
    });
    context.exit(status);
  } catch (error) {
    throw startError(error, path);
  }
}

/** Serves on the connection that a keeper holds. */
async function work(context: Context, config: Config): Promise<void> {
  const binding = context.addon();
  makeCallsDirectory(config);
  const place = workplace(context.env);
  if (place === undefined) {
    throw new VprocfsError("USAGE", "worker is started by the keeper: use 'vprocfs run'");
  }
  const system = realSystem((path) => binding.unmount(path));
  const { mountpoint } = place;
  const log = createLogger(config.logLevel, config.logFormat);
  const status = await serve({
    engine: nativeEngine(binding),
    options: { ...place, ...engineOptions(config) },
    log,
    companions: companionsOf(binding, config, { mountpoint, hasKeeper: true, log }),
    unmount: () => isOnTop(system, mountpoint, config),
  });
  context.exit(status);
}

/** The configuration of a command that takes a mount point as its argument. */
function configOf(context: Context, command: Command, mountpoint: string | undefined): Config {
  if (mountpoint !== undefined) {
    command.setOptionValue("mountpoint", resolve(mountpoint));
  }
  const { json, logFormat, watch } = command.opts();
  if (watch === false) {
    command.setOptionValue("watch", "off");
  }
  if (json === true && logFormat === undefined) {
    command.setOptionValue("logFormat", "json");
  }
  return configFor(context, command);
}

function addServingFlags(command: Command): void {
  command.argument("[MOUNTPOINT]", "where to mount (default: the configured mountpoint)");
  addConfigFlags(
    command,
    CONFIG_KEYS.filter((key) => key !== "mountpoint"),
  );
  command
    .option("--json", "log as JSON, the same as --log-format json")
    .option("--no-watch", "leave containers alone, the same as --watch off")
    .option("--no-keeper", "serve in this process, for debugging: when it dies the mount is dead");
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
  command
    .option("--print-config", "print the configuration as JSON and exit")
    .action(async (mountpoint: string | undefined, options: Record<string, unknown>) => {
      const config = configOf(context, command, mountpoint);
      if (options.printConfig === true) {
        const named = CONFIG_KEYS.map((key) => [kebabOf(key), config[key]]);
        context.print(toJson(Object.fromEntries(named)));
        return;
      }
      await run(context, config, options.keeper !== false);
    });
}

/** `vprocfs worker`: what the keeper starts. */
export function addWorker(program: Command, context: Context): void {
  const command = program.command("worker", { hidden: true });
  addServingFlags(command);
  command.action(async (mountpoint: string | undefined) => {
    try {
      await work(context, configOf(context, command, mountpoint));
    } catch (error) {
      tellKeeper(context.env, messageOf(error));
      throw error;
    }
  });
}
