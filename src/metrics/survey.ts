import { socketOf } from "../keeper.js";
import type { NativeBinding, SurveyedContainer } from "../native/binding.js";
import type { NativeSession } from "../native/session.js";
import { NoAnswer, within } from "../within.js";

/** One container of a survey, with its figures by name. */
export interface Surveyed extends SurveyedContainer {
  readonly figures: Figures;
}

/** Figures by name (native/survey/figures.def). */
export interface Figures {
  /** Undefined: there is no limit, or the kernel does not report the figure. */
  get(name: string): number | undefined;
  /** The figures that are known. */
  entries(): Iterable<readonly [string, number]>;
}

/** A row of a survey. It copies nothing, because there may be thousands. */
class Row implements Figures {
  readonly #columns: ReadonlyMap<string, number>;
  readonly #figures: Float64Array;
  readonly #start: number;

  constructor(columns: ReadonlyMap<string, number>, figures: Float64Array, row: number) {
    this.#columns = columns;
    this.#figures = figures;
    this.#start = row * columns.size;
  }

  get(name: string): number | undefined {
    const column = this.#columns.get(name);
    const value = column === undefined ? undefined : this.#figures[this.#start + column];
    return value === undefined || Number.isNaN(value) ? undefined : value;
  }

  *entries(): Iterable<readonly [string, number]> {
    for (const name of this.#columns.keys()) {
      const value = this.get(name);
      if (value !== undefined) {
        yield [name, value];
      }
    }
  }
}

/** All containers at about one moment. */
export interface Containers {
  readonly containers: readonly Surveyed[];
  /** Seconds that the survey took. */
  readonly tookSeconds: number;
  /** Containers of which something could not be read. */
  readonly failed: number;
  /** Containers left out because there are more than one survey reports. */
  readonly leftOut: number;
  /** Whether the kernel's log dates kills. */
  readonly readsLog: boolean;
  /** See Survey. */
  readonly endedKills: number;
}

/** The files in which a worker finds what earlier ones have counted, without ".kills" and ".counters". */
export function totalsOf(mountpoint: string): string {
  return socketOf(mountpoint).replace(/\.sock$/, "");
}

/** Takes surveys, and finds figures in them by name. */
export class Surveys {
  readonly #columns: ReadonlyMap<string, number>;
  readonly #surveyor: InstanceType<NativeBinding["Surveyor"]>;

  /**
   * See NativeBinding.Surveyor. Counts begin with those of the worker that serves `mountpoint`, because the kernel's log
   * forgets: without them an operator's command would report fewer than the metrics do.
   */
  constructor(
    binding: Pick<NativeBinding, "Surveyor">,
    identity: { readonly fsType: string; readonly source: string },
    mountpoint?: string,
    worker?: { readonly session: NativeSession | undefined },
  ) {
    const { fsType, source } = identity;
    const totals = mountpoint === undefined ? "" : totalsOf(mountpoint);
    this.#columns = new Map(binding.Surveyor.figures.map((name, column) => [name, column]));
    this.#surveyor = new binding.Surveyor(
      fsType,
      source,
      totals,
      worker !== undefined,
      worker?.session,
    );
  }

  /** See NativeBinding.Surveyor. */
  readInside(pid: number, path: string, device: string, directory: string): Promise<string> {
    return this.#surveyor.readInside(pid, path, device, directory);
  }

  async take(): Promise<Containers> {
    const survey = await this.#surveyor.take();
    const { tookSeconds, failed, leftOut, readsLog, endedKills } = survey;
    const containers = survey.containers.map((container, row) => ({
      ...container,
      figures: new Row(this.#columns, survey.figures, row),
    }));
    return { containers, tookSeconds, failed, leftOut, readsLog, endedKills };
  }

  /** take(), or undefined if that takes longer than `ms`: a file of a cgroup may not answer. */
  async takeWithin(ms: number): Promise<Containers | undefined> {
    try {
      return await within(this.take(), ms, "no survey");
    } catch (error) {
      if (error instanceof NoAnswer) {
        return undefined;
      }
      throw error;
    }
  }
}
