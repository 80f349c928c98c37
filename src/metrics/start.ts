import { exclusionReason } from "../attach/selection.js";
import type { WatcherState } from "../attach/watcher.js";
import type { Config } from "../config.js";
import type { Engine } from "../engine/engine.js";
import { VprocfsError } from "../errors.js";
import { readStatus } from "../keeper-status.js";
import type { Logger } from "../log.js";
import type { NativeBinding } from "../native/binding.js";
import { parseAddress } from "./address.js";
import { OPEN, type WebConfig } from "./basic-auth.js";
import { Exporter } from "./exporter.js";
import { Readiness } from "./readiness.js";
import { KEEPER_WITHIN_MS, Scrapes } from "./scrape.js";
import { Surveys } from "./survey.js";

interface MetricsOptions {
  readonly binding: NativeBinding;
  readonly config: Config;
  /** Undefined: neither TLS nor passwords. */
  readonly web: WebConfig | undefined;
  readonly mountpoint: string;
  readonly hasKeeper: boolean;
  /** The watcher's state, if there is a watcher. */
  readonly attaching: (() => WatcherState) | undefined;
  readonly log: Logger;
}

/** Serves the metrics of a running engine. */
export function startMetrics(engine: Engine, options: MetricsOptions): Exporter {
  const { binding, config, web = OPEN, mountpoint, hasKeeper, attaching, log } = options;
  const address = parseAddress(config.metrics);
  if (address === undefined) {
    throw new VprocfsError("CONFIG", `metrics: '${config.metrics}' is no address`);
  }
  const scrapes = new Scrapes({
    engine,
    version: binding.version,
    surveys: new Surveys(binding, config, mountpoint, { session: engine.session }),
    exclusionReason: () => exclusionReason(binding, config),
    attaching,
    keeper: hasKeeper ? () => readStatus(mountpoint, KEEPER_WITHIN_MS) : undefined,
  });
  const readiness = new Readiness(mountpoint);
  const pages = {
    metrics: scrapes.text.bind(scrapes),
    unready: readiness.unready.bind(readiness),
  };
  const { session } = engine;
  const kept = session && {
    take: () => session.takeMetricsSocket(),
    keep: (fd: number) => session.keepMetricsSocket(fd),
  };
  return Exporter.start({ address, kept, web, pages, log });
}
