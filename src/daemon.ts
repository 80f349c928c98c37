import { setTimeout as sleep } from "node:timers/promises";
import type { Engine, EngineFactory, EngineOptions } from "./engine/engine.js";
import { ExitStatus, messageOf } from "./errors.js";
import { findHolders } from "./holders.js";
import type { Logger } from "./log.js";
import type { SessionFeatures } from "./native/session.js";
import { NO_SECOND_MOUNT } from "./polled.js";

/** Stop reason that the addon reports after handing over to a new worker. */
const HANDED_OVER = "drained";

/** Stop reason if the keeper was told to stop. */
const STOPPED_BY_KEEPER = "stop";

/** Reason that the addon reports if the keeper is gone and this process goes on serving. */
const KEEPER_GONE = "alone";

/** Reason that the addon reports if the second mount, for files that can be polled, is gone. */
const POLLED_GONE = "polled";

const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** Makes the daemon log its counters. */
const COUNTERS_SIGNAL = "SIGUSR2";
/** How long containers that show more CPUs are gathered before anything is done about them. */
const MORE_CPUS_MS = 1000;

/**
 * How long after a takeover the new worker's companions rest, and before that the old one: readers who have
 * waited for the takeover come first. The old one ends first, because both listen on the same ports.
 */
const STARTS_AFTER_MS = 60;
const ENDS_AFTER_MS = 30;

/** The part of `process` that a daemon listens to. */
interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/** Something that runs beside an engine while it serves. Its failure does not stop the engine. */
export interface Companion {
  /** Whether others rely on it as soon as the engine serves. The rest of a worker's start a little later. */
  readonly isAwaited?: boolean;
  /** Must not throw. */
  start(engine: Engine): void;
  /** Called before the engine stops. `forGood`: the mount will be removed. What this throws is logged. */
  stop(forGood: boolean): Promise<void>;
  /** Called with the ids of containers that show more CPUs than before. Must not throw. */
  moreCpus?(ids: readonly string[]): void;
  /** Called once the mount was removed. What this throws is logged. */
  unmounted?(): Promise<void>;
}

interface ServeOptions {
  readonly engine: EngineFactory;
  readonly options: Omit<EngineOptions, "onEnd" | "onServing" | "onFeatures" | "onMoreCpus">;
  readonly log: Logger;
  /**
   * Called at the end: whether to unmount too. False if something else was mounted on top. Under a keeper it
   * is called only when the keeper stops.
   */
  readonly unmount: () => boolean;
  readonly signals?: SignalSource;
  /** Whether this is the first worker of its keeper; absent without a keeper. Must not fail. */
  readonly isFirst?: () => Promise<boolean>;
  /** Called once, when it serves or is ready to. Must not fail. */
  readonly onReady?: () => void;
  /** They start in this order and stop in reverse. */
  readonly companions?: readonly Companion[];
}

type End =
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  | { readonly kind: "ended"; readonly reason: string };

/** Starts the companions of an engine, each once. */
class Starts {
  #waiting: readonly Companion[];
  #timer: NodeJS.Timeout | undefined;

  constructor(companions: readonly Companion[]) {
    this.#waiting = companions;
  }

  /** Starts those that others rely on now, and the rest `after` so many ms. */
  begin(engine: Engine, after: number): void {
    const awaited = this.#waiting.filter(({ isAwaited }) => isAwaited);
    this.#waiting = this.#waiting.filter(({ isAwaited }) => !isAwaited);
    for (const companion of awaited) {
      companion.start(engine);
    }
    if (after === 0) {
      this.finish(engine);
    } else {
      this.#timer = setTimeout(() => this.finish(engine), after).unref();
    }
  }

  /** Starts the rest now: what has not started cannot be stopped. */
  finish(engine: Engine): void {
    clearTimeout(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const companion of waiting) {
      companion.start(engine);
    }
  }
}

/** Runs what a companion does at the end: if one fails, the others still detach, and the engine stops. */
async function tidy(log: Logger, action: () => Promise<void> | undefined): Promise<void> {
  try {
    await action();
  } catch (error) {
    log.error({ error: messageOf(error) }, "stopping failed in part");
  }
}

async function stop(serving: ServeOptions, engine: Engine, forGood: boolean): Promise<boolean> {
  const { log, options } = serving;
  try {
    const unmount = forGood && serving.unmount();
    const holders = unmount ? findHolders(options.mountpoint) : [];
    if (await engine.stop(unmount)) {
      log.warn({ heldBy: holders }, "the mount point was busy: unmounted lazily");
    }
    return true;
  } catch (error) {
    log.error({ error: messageOf(error) }, "stopping failed");
    return false;
  }
}

/** Logs what the host lacks for kernel logs. Only the keeper's first worker does, because it stays the same. */
async function warnOfLogs(
  { log, isFirst }: ServeOptions,
  missing: readonly string[],
  problem: string,
): Promise<void> {
  if ((problem === "" && missing.length === 0) || (await isFirst?.()) === false) {
    return;
  }
  if (problem !== "") {
    log.warn({ reason: problem }, "containers' kernel logs get no events");
  }
  for (const reason of missing) {
    log.warn(
      { reason },
      "containers' kernel logs lack some records of processes that have ended, because a source is missing",
    );
  }
}

/** Logs problems of system calls and kernel logs, which may become known late, or change. */
function featuresReporter(serving: ServeOptions): (features: SessionFeatures) => void {
  const { log } = serving;
  let knowsLogs = false;
  let answersCalls = true;
  return ({ callsProblem = "", kernelLogMissing = [], kernelLogProblem = "" }) => {
    if (!knowsLogs && kernelLogMissing !== null) {
      knowsLogs = true;
      void warnOfLogs(serving, kernelLogMissing, kernelLogProblem);
    }
    if (answersCalls && callsProblem !== "") {
      log.warn({ reason: callsProblem }, "not answering system calls of containers");
    } else if (!answersCalls && callsProblem === "") {
      log.info("answering system calls of containers from now on");
    }
    answersCalls = callsProblem === "";
  };
}

/**
 * Serves until a signal or until the connection ends; resolves to the exit status. The caller has
 * prepared the mount point.
 */
export async function serve(serving: ServeOptions): Promise<number> {
  const { log, options, signals = process, companions = [] } = serving;
  let finish: (end: End) => void = () => {};
  const end = new Promise<End>((resolve) => {
    finish = resolve;
  });
  const onSignal = (signal: NodeJS.Signals): void => finish({ kind: "signal", signal });
  const report = featuresReporter(serving);
  let serves = false;
  const isWorker = options.inherit !== undefined;
  const starts = new Starts(companions);
  const engine = serving.engine({
    ...options,
    onServing: () => {
      serves = true;
      const features = engine.features();
      const { protocolMajor, protocolMinor, resend } = features;
      const place = {
        mountpoint: options.mountpoint,
        type: options.fsType,
        source: options.source,
      };
      log.info({ ...place, protocol: `${protocolMajor}.${protocolMinor}`, resend }, "serving");
      const { polledProblem } = features;
      if (polledProblem !== undefined && polledProblem !== "") {
        log.warn({ reason: polledProblem }, NO_SECOND_MOUNT);
      }
      report(features);
      starts.begin(engine, isWorker ? STARTS_AFTER_MS : 0);
    },
    onFeatures: () => {
      // Before that, the features are not known.
      if (serves) {
        report(engine.features());
      }
    },
    onMoreCpus: () => {
      // A tenant may show and hide CPUs as fast as it likes: until these are asked for, we are told of no others.
      const ask = (): void => {
        const ids = engine.moreCpus?.() ?? [];
        for (const companion of companions) {
          companion.moreCpus?.(ids);
        }
      };
      setTimeout(ask, MORE_CPUS_MS).unref();
    },
    onEnd: (reason) => {
      if (reason === KEEPER_GONE) {
        log.error(
          "the keeper is gone: this worker continues, and only a start of the service replaces it",
        );
        return;
      }
      if (reason === POLLED_GONE) {
        log.warn(
          "the mount of pressure files is gone: containers cannot read their pressure files",
        );
        return;
      }
      finish({ kind: "ended", reason });
    },
  });
  const onAsked = (): void => {
    const { taskCounter, taskCounterFallback } = engine.features();
    log.info({ ...engine.counters(), taskCounter, taskCounterFallback }, "counters");
  };
  for (const signal of STOP_SIGNALS) {
    signals.on(signal, onSignal);
  }
  signals.on(COUNTERS_SIGNAL, onAsked);
  // Native threads do not keep the event loop alive.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    const starting = engine.start();
    if (starting !== undefined) {
      await starting;
    }
    if (isWorker && !serves) {
      log.info(
        { mountpoint: options.mountpoint },
        "ready, serves as soon as the keeper tells it to",
      );
    }
    serving.onReady?.();
    const ended = await end;
    const byKeeper = ended.kind === "ended" && ended.reason === STOPPED_BY_KEEPER;
    // A signal to a worker ends that worker only: the keeper keeps the mount.
    const forGood = !isWorker || byKeeper;
    const isStop = ended.kind === "signal" || byKeeper;
    if (serves) {
      starts.finish(engine);
    }
    if (ended.kind === "ended" && ended.reason === HANDED_OVER) {
      await sleep(ENDS_AFTER_MS);
    }
    for (const companion of companions.toReversed()) {
      await tidy(log, () => companion.stop(forGood && isStop));
    }
    if (isStop) {
      log.info(ended.kind === "signal" ? { signal: ended.signal } : {}, "stopping");
      const stopped = await stop(serving, engine, forGood);
      for (const companion of forGood ? companions : []) {
        await tidy(log, () => companion.unmounted?.());
      }
      return stopped ? ExitStatus.ok : ExitStatus.failure;
    }
    if (ended.reason === HANDED_OVER) {
      log.info("handed over to the next worker");
      return ExitStatus.ok;
    }
    log.error({ reason: ended.reason }, "the connection to the kernel ended");
    await stop(serving, engine, forGood);
    return ExitStatus.failure;
  } finally {
    clearInterval(alive);
    for (const signal of STOP_SIGNALS) {
      signals.off(signal, onSignal);
    }
    signals.off(COUNTERS_SIGNAL, onAsked);
  }
}
