import type { Engine, EngineFactory, EngineOptions } from "./engine/engine.js";
import { ExitStatus, messageOf } from "./errors.js";
import { findHolders } from "./holders.js";
import type { Logger } from "./log.js";

/** How the native side says that a reload has another worker go on. */
const HANDED_OVER = "drained";

const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** Of process, what a daemon listens to. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

export interface ServeOptions {
  readonly engine: EngineFactory;
  readonly options: Omit<EngineOptions, "onEnd">;
  readonly log: Logger;
  /**
   * Asked when it ends: shall the mount go too? Not when something else has been mounted over it,
   * and not under a keeper.
   */
  readonly unmount: () => boolean;
  readonly signals?: SignalSource;
}

type End =
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  | { readonly kind: "ended"; readonly reason: string };

async function stop(serving: ServeOptions, engine: Engine): Promise<boolean> {
  const { log, options } = serving;
  try {
    const unmount = serving.unmount();
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

/**
 * Serves until a signal or until the connection ends; resolves to the exit status. Mounting and
 * what must be true before it are the caller's.
 */
export async function serve(serving: ServeOptions): Promise<number> {
  const { log, options, signals = process } = serving;
  let finish: (end: End) => void = () => {};
  const end = new Promise<End>((resolve) => {
    finish = resolve;
  });
  const onSignal = (signal: NodeJS.Signals): void => finish({ kind: "signal", signal });
  const engine = serving.engine({
    ...options,
    onEnd: (reason) => finish({ kind: "ended", reason }),
  });
  for (const signal of STOP_SIGNALS) {
    signals.on(signal, onSignal);
  }
  // Native threads do not keep the event loop alive.
  const alive = setInterval(() => {}, 2 ** 30);
  try {
    engine.start();
    const { protocolMajor, protocolMinor, resend } = engine.features();
    const place = { mountpoint: options.mountpoint, type: options.fsType, source: options.source };
    if (options.inherit === undefined) {
      log.info({ ...place, protocol: `${protocolMajor}.${protocolMinor}`, resend }, "serving");
    } else {
      log.info({ mountpoint: options.mountpoint }, "ready to serve");
    }
    const ended = await end;
    if (ended.kind === "signal") {
      log.info({ signal: ended.signal }, "stopping");
      const stopped = await stop(serving, engine);
      return stopped ? ExitStatus.ok : ExitStatus.failure;
    }
    if (ended.reason === HANDED_OVER) {
      log.info("handed over to the next worker");
      return ExitStatus.ok;
    }
    log.error({ reason: ended.reason }, "the connection to the kernel ended");
    await stop(serving, engine);
    return ExitStatus.failure;
  } finally {
    clearInterval(alive);
    for (const signal of STOP_SIGNALS) {
      signals.off(signal, onSignal);
    }
  }
}
