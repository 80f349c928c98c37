// Makes an engine's options and its companions from a configuration.

import { mkdirSync } from "node:fs";
import { patternsOf } from "./attach/glob.js";
import { isPassive } from "./attach/selection.js";
import { helperSettings, removeSettings, writeSettings } from "./attach/settings.js";
import { Watcher, type WatcherState } from "./attach/watcher.js";
import type { Config } from "./config.js";
import type { Companion } from "./daemon.js";
import type { Engine, EngineFactory } from "./engine/engine.js";
import { nativeEngine } from "./engine/native.js";
import { messageOf, VprocfsError } from "./errors.js";
import { type FiguresOptions, figuresCompanion } from "./figures.js";
import { kernelLogServer } from "./klog/server.js";
import type { Logger } from "./log.js";
import { parseAddress } from "./metrics/address.js";
import type { WebConfig } from "./metrics/basic-auth.js";
import type { NativeBinding } from "./native/binding.js";
import { sleepGuard } from "./sleep/guard.js";

/** The part of the configuration that engines need. */
export function engineOptions(config: Config) {
  const { fsType, source, consistency, tickMs, bpf, maxThreads } = config;
  const { maxOpenPerContainer, maxTriggersPerContainer } = config;
  const { rendersPerSecond, maxCpuPerContainer } = config;
  const { callsDirectory: directory, callsPerSecond: perSecond, patienceMs } = config;
  const calls = { directory, perSecond, patienceMs, affinity: config.affinity === "on" };
  return {
    ...{ fsType, source, consistency, tickMs, bpf, maxThreads },
    ...{ maxOpenPerContainer, maxTriggersPerContainer },
    ...{ rendersPerSecond, maxCpuPerContainer },
    kernelLog: config.kernelLog === "on",
    // A socket at a path is made anew, beside the earlier one.
    ...(parseAddress(config.metrics)?.kind === "tcp" && { metricsAddress: config.metrics }),
    ...(config.calls === "on" && { calls }),
  };
}

/** Best effort: creating the sockets reports a missing directory. */
export function makeCallsDirectory({ calls, callsDirectory }: Config): void {
  if (calls === "on") {
    try {
      mkdirSync(callsDirectory, { recursive: true, mode: 0o700 });
    } catch {
      // Listening there will fail with the reason.
    }
  }
}

/** Where and how a process serves. */
interface Place {
  readonly mountpoint: string;
  /** Whether a keeper holds the mount. */
  readonly hasKeeper: boolean;
  readonly log: Logger;
}

/** A module of ours that is loaded late: an upgrade may have taken those of this version away meanwhile. */
async function loaded<T>(module: Promise<T>): Promise<T> {
  try {
    return await module;
  } catch (error) {
    const why = "cannot load its own modules, which may be another version's by now";
    throw new VprocfsError("SYSTEM", `${why}: ${messageOf(error)}`, { cause: error });
  }
}

/** TLS and passwords for metrics. The module that reads them is loaded only if they are configured. */
async function webConfigOf({ metricsWebConfig: path }: Config): Promise<WebConfig | undefined> {
  if (path === "") {
    return undefined;
  }
  const { readWebConfig } = await loaded(import("./metrics/web-config.js"));
  return readWebConfig(path);
}

/** Serves metrics. If that fails, the engine serves without them. */
function metricsOf(
  binding: NativeBinding,
  config: Config,
  place: Place,
  attaching: (() => WatcherState) | undefined,
): Companion & { readonly state: FiguresOptions["metricsState"] } {
  let problem = "";
  const begin = async (engine: Engine) => {
    try {
      // Loaded only now: a standby does not need it, and a takeover does not wait for it.
      const { startMetrics } = await loaded(import("./metrics/start.js"));
      const web = await webConfigOf(config);
      return startMetrics(engine, { binding, config, web, attaching, ...place });
    } catch (error) {
      problem = messageOf(error);
      place.log.error({ error: problem }, "cannot serve metrics");
      return undefined;
    }
  };
  let running: ReturnType<typeof begin> | undefined;
  return {
    start: (engine) => {
      running = begin(engine);
    },
    stop: async () => (await running)?.close(),
    state: async () => {
      const exporter = await running;
      if (running === undefined) {
        // It rests until readers have been served.
        return { problem: "", isPending: true };
      }
      return { problem: exporter?.problem ?? problem, isPending: exporter?.isPending ?? false };
    },
  };
}

/** The watcher; undefined if the configuration turns it off. */
function watcherOf(
  config: Config,
  binding: NativeBinding,
  mountpoint: string,
  log: Logger,
): Watcher | undefined {
  const passive = isPassive(config);
  if (passive) {
    log.info("this is vpsAdminOS, whose kernel virtualises /proc: leaving containers alone");
  }
  if (config.watch === "off" || passive) {
    return undefined;
  }
  return new Watcher({
    binding,
    settings: helperSettings(config, mountpoint),
    only: patternsOf(config.attachOnly),
    exclude: patternsOf(config.attachExclude),
    nested: config.nested === "on",
    passId: config.engine === "fuse-native",
    log,
  });
}

/** How long after the settings of hooks could not be written they are written again. */
const SETTINGS_AGAIN_MS = 2000;

/** Writes the settings of hooks once an engine serves, and again until stop() if they cannot be written. */
function settingsOf(config: Config, { mountpoint, log }: Place) {
  let again: NodeJS.Timeout | undefined;
  const settle = (engine: Engine, isFirst: boolean): void => {
    again = undefined;
    try {
      writeSettings(config, mountpoint, engine.files?.());
      if (!isFirst) {
        log.info("the settings for hooks are written now");
      }
    } catch (error) {
      if (isFirst) {
        log.warn({ error: messageOf(error) }, "cannot write the settings for hooks");
      }
      // Until there is room again hooks go by those of an earlier worker.
      again = setTimeout(() => settle(engine, false), SETTINGS_AGAIN_MS).unref();
    }
  };
  return {
    start: (engine: Engine) => settle(engine, true),
    stop: () => clearTimeout(again),
  };
}

/** Attaches containers while an engine serves: runs the watcher, and takes the settings of hooks away in the end. */
function attachingOf(
  config: Config,
  { mountpoint, log }: Place,
  watcher: Watcher | undefined,
  settings: ReturnType<typeof settingsOf>,
): Companion {
  const seen = new Set<number>();
  const onlyLogs = config.onStop === "leave";
  const detach = async (which: "all" | "new"): Promise<void> => {
    try {
      const files = await watcher?.detachAll(onlyLogs, seen);
      const what = onlyLogs ? "kernel logs detached" : "detached";
      if (which === "all" || (files ?? 0) > 0) {
        log.info({ files }, `${what} from ${which} containers`);
      }
    } catch (error) {
      log.error({ error: messageOf(error) }, "cannot detach from all containers");
    }
  };
  return {
    start: () => watcher?.start(),
    moreCpus: (ids) => watcher?.lookAgain(ids),
    stop: async (forGood) => {
      settings.stop();
      await watcher?.stop();
      if (forGood && watcher !== undefined) {
        // With on-stop = "leave" this detaches the kernel logs: systemd services that protect them do not
        // start if they are dead.
        await detach("all");
      }
      if (forGood) {
        removeSettings(mountpoint);
      }
    },
    // Hooks have mounted the files into containers that have started since stop().
    unmounted: async () => {
      if (watcher !== undefined) {
        await detach("new");
      }
    },
  };
}

/** The engine's companions, in the order in which they start. */
export function companionsOf(binding: NativeBinding, config: Config, place: Place): Companion[] {
  const watcher = watcherOf(config, binding, place.mountpoint, place.log);
  const settings = settingsOf(config, place);
  const attaching = attachingOf(config, place, watcher, settings);
  const logs = config.kernelLog === "on" ? [kernelLogServer(place.mountpoint, place.log)] : [];
  const stateOfWatcher = watcher && (() => watcher.state());
  const metrics =
    config.metrics === "off" ? undefined : metricsOf(binding, config, place, stateOfWatcher);
  const figures = figuresCompanion({
    ...place,
    binding,
    metrics: config.metrics,
    replaceLxcfs: config.replaceLxcfs === "on",
    metricsState: async () => (await metrics?.state()) ?? { problem: "", isPending: false },
    attaching: stateOfWatcher,
  });
  // The settings first: hooks go by them as soon as the keeper knows that the worker serves, which does not wait for
  // ever (KeeperLink::tell_serving).
  return [
    { isAwaited: true, start: settings.start, stop: async () => {} },
    sleepGuard(place.log),
    ...logs,
    ...(metrics ? [metrics] : []),
    attaching,
    figures,
  ];
}

/**
 * Throws if the configuration contradicts itself, or names a file for metrics that cannot be read. A caller
 * that has to serve even without metrics passes `warn`, which then gets the reason instead.
 */
export async function checkServing(config: Config, warn?: (reason: string) => void): Promise<void> {
  if (config.engine === "fuse-native" && config.consistency === "tick") {
    throw new VprocfsError(
      "CONFIG",
      "engine fuse-native does not support consistency tick: use --consistency exact or --engine native",
    );
  }
  try {
    if (config.metrics !== "off") {
      await webConfigOf(config);
    }
  } catch (error) {
    if (warn === undefined) {
      throw error;
    }
    warn(messageOf(error));
  }
}

/** Loads the configured engine, and no other. */
export async function engineOf(config: Config, binding: NativeBinding): Promise<EngineFactory> {
  if (config.engine === "native") {
    return nativeEngine(binding);
  }
  const { fuseNativeEngine } = await import("./engine/fuse-native.js");
  return fuseNativeEngine(binding);
}
