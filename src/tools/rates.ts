import type { Figures, Surveyed } from "../metrics/survey.js";
import { memoryUse, ownMemory } from "./memory-use.js";

/** What a container did between two surveys; undefined: not known. */
export interface Activity {
  readonly container: Surveyed;
  /** The name that people gave it, if its own name is an id. */
  readonly givenName: string | undefined;
  /** CPUs in use, 1 for one of them. */
  readonly cpu: number | undefined;
  /** CPU time that quotas kept from it, per second; 1 is one whole CPU. */
  readonly throttled: number | undefined;
  /** Share of memory in use that cannot be dropped, 0 to 1: of what its limits allow, else its own of the node's. */
  readonly memory: number | undefined;
  /** Its own use that cannot be dropped. */
  readonly memoryUsed: number | undefined;
  readonly memoryTotal: number | undefined;
  readonly swapUsed: number | undefined;
  readonly swapTotal: number | undefined;
  /** Share of time in which some task waited for a resource, 0 to 1: the highest of all three. */
  readonly pressure: number | undefined;
  /** Over one minute. */
  readonly load: number | undefined;
  /** OOM kills since it started. */
  readonly oomKills: number | undefined;
  /** Seconds since the last OOM kill whose time is known. */
  readonly oomAgo: number | undefined;
  /** Requests for its files per second. */
  readonly requests: number | undefined;
  /** Bytes per second. */
  readonly read: number | undefined;
  readonly written: number | undefined;
}

/** Figures of one moment. */
export interface Moment {
  /** Milliseconds of any clock that runs evenly. */
  readonly atMs: number;
  /** When the requests were asked for, which may take long. */
  readonly askedMs: number;
  /** Seconds since the epoch. */
  readonly epochS: number;
  readonly containers: readonly Surveyed[];
  /** Requests so far, by container. */
  readonly requests: ReadonlyMap<string, number>;
  readonly loads: ReadonlyMap<string, number>;
  /** The names that people gave to containers whose own names are ids. */
  readonly givenNames: ReadonlyMap<string, string>;
}

function sumOf(figures: Figures, names: readonly string[]) {
  const values = names.map((name) => figures.get(name)).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}

/** A counter's growth per second; nothing for one that was reset. */
function perSecond(before: number | undefined, now: number | undefined, seconds: number) {
  if (before === undefined || now === undefined || now < before || seconds <= 0) {
    return undefined;
  }
  return (now - before) / seconds;
}

function ratio(part: number | undefined, whole: number | undefined) {
  return part === undefined || whole === undefined || whole <= 0 ? undefined : part / whole;
}

const CPU = ["cpuUser", "cpuNice", "cpuSystem"];
const PRESSURES = ["cpuPressure", "memoryPressure", "ioPressure"];

const NONE: Figures = new Map<string, number>();

function activityOf(
  container: Surveyed,
  earlier: Figures,
  before: Moment | undefined,
  now: Moment,
): Activity {
  const { id, figures } = container;
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1000;
  const askedSeconds = before === undefined ? 0 : (now.askedMs - before.askedMs) / 1000;
  const rateOf = (names: readonly string[]) =>
    perSecond(sumOf(earlier, names), sumOf(figures, names), seconds);
  const total = figures.get("memoryTotal");
  const used = ownMemory(figures);
  const use = memoryUse(figures) ?? { used, total };
  const lastOom = figures.get("lastOomTime");
  const pressures = PRESSURES.map((name) => figures.get(name)).filter((one) => one !== undefined);
  return {
    container,
    givenName: now.givenNames.get(id),
    cpu: rateOf(CPU),
    throttled: rateOf(["throttled"]),
    memory: ratio(use.used, use.total),
    memoryUsed: used,
    memoryTotal: total,
    swapUsed: figures.get("swapUsage"),
    swapTotal: figures.get("swapTotal"),
    pressure: pressures.length === 0 ? undefined : Math.max(...pressures) / 100,
    load: now.loads.get(id),
    oomKills: figures.get("oomKills"),
    oomAgo: lastOom === undefined ? undefined : Math.max(0, now.epochS - lastOom),
    requests: perSecond(before?.requests.get(id), now.requests.get(id), askedSeconds),
    read: rateOf(["readBytes"]),
    written: rateOf(["writtenBytes"]),
  };
}

/** The activities of all containers of `now`. Rates need an earlier moment. */
export function activities(before: Moment | undefined, now: Moment): Activity[] {
  const earlier = new Map(before?.containers.map(({ id, figures }) => [id, figures]));
  return now.containers.map((container) =>
    activityOf(container, earlier.get(container.id) ?? NONE, before, now),
  );
}
