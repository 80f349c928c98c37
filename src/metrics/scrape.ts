import type { ExclusionReason } from "../attach/selection.js";
import type { WatcherState } from "../attach/watcher.js";
import type { Engine } from "../engine/engine.js";
import { errnoOf } from "../errors.js";
import type { Status } from "../keeper-status.js";
import { within } from "../within.js";
import { type ContainerSheet, containerMetrics, containerSheet } from "./container-metrics.js";
import { Exposition, type Format } from "./exposition.js";
import { selfMetrics } from "./self-metrics.js";
import type { SelfSheet } from "./self-sheet.js";
import type { Containers } from "./survey.js";

/** How long a scrape waits for the survey and for the keeper. */
const SURVEY_WITHIN_MS = 5000;
export const KEEPER_WITHIN_MS = 1000;

/** The sources of a page. */
export interface ScrapeSources {
  readonly engine: Pick<Engine, "name" | "counters" | "measures" | "containers" | "features">;
  readonly version: string;
  readonly surveys: { take(): Promise<Containers> };
  /** Called for each collection: which containers are excluded. */
  readonly exclusionReason: () => ExclusionReason;
  /** Undefined: there is no keeper. */
  readonly keeper: (() => Promise<Status>) | undefined;
  /** The watcher's state, if there is a watcher. */
  readonly attaching?: (() => WatcherState) | undefined;
}

interface Sheets {
  readonly self: SelfSheet;
  readonly containers: ContainerSheet;
}

/** Writes the page of one collection; each format only once. */
type Writer = (format: Format) => Promise<Buffer>;

/** The result of a promise; undefined if it takes longer or fails. */
async function inTime<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  try {
    return await within(promise, ms, "late");
  } catch {
    return undefined;
  }
}

/** What is read from the system; undefined if that fails, because something is short for example. */
function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoOf(error) === undefined) {
      throw error;
    }
    return undefined;
  }
}

/** Collects values and writes pages. Requests during a collection share it. */
export class Scrapes {
  readonly #sources: ScrapeSources;
  readonly #exposition: Promise<Exposition>;
  #sheets: Sheets | undefined;
  #collection: Promise<Writer> | undefined;
  #survey: Promise<Containers> | undefined;
  #lateSurveys = 0;

  constructor(sources: ScrapeSources) {
    this.#sources = sources;
    const sheets = (): Sheets => {
      if (this.#sheets === undefined) {
        throw new Error("nothing was collected");
      }
      return this.#sheets;
    };
    this.#exposition = Exposition.create([
      ...selfMetrics(() => sheets().self),
      ...containerMetrics(() => sheets().containers),
    ]);
  }

  /** A page with the values of now. */
  async text(format: Format): Promise<Buffer> {
    if (this.#collection === undefined) {
      const collection = this.#collect();
      this.#collection = collection;
      const done = (): void => {
        if (this.#collection === collection) {
          this.#collection = undefined;
        }
      };
      collection.then(done, done);
    }
    const write = await this.#collection;
    return write(format);
  }

  /** Takes a survey, or waits for one that runs: if a source blocks, no further ones pile up. */
  #takeSurvey(): Promise<Containers> {
    if (this.#survey === undefined) {
      const survey = this.#sources.surveys.take();
      this.#survey = survey;
      const done = (): void => {
        this.#survey = undefined;
      };
      survey.then(done, done);
    }
    return this.#survey;
  }

  async #collect(): Promise<Writer> {
    const { engine, version, keeper, exclusionReason, attaching } = this.#sources;
    const [exposition, survey, status] = await Promise.all([
      this.#exposition,
      inTime(this.#takeSurvey(), SURVEY_WITHIN_MS),
      keeper === undefined ? undefined : inTime(keeper(), KEEPER_WITHIN_MS),
    ]);
    if (survey === undefined) {
      this.#lateSurveys += 1;
    }
    const containers = survey?.containers ?? [];
    const counters = await engine.containers(containers);
    const excluded = ifReadable(exclusionReason);
    const sheets: Sheets = {
      self: {
        engine: engine.name,
        version,
        counters: engine.counters(),
        measures: engine.measures(),
        features: engine.features(),
        keeper: status,
        survey,
        lateSurveys: this.#lateSurveys,
        wantedUnknown: excluded === undefined,
        attaching: attaching?.(),
      },
      containers: containerSheet(containers, counters, excluded),
    };
    const texts = new Map<Format, Promise<Buffer>>();
    return (format) => {
      let text = texts.get(format);
      if (text === undefined) {
        this.#sheets = sheets;
        text = exposition.write(format).then((written) => Buffer.from(written));
        texts.set(format, text);
      }
      return text;
    };
  }
}
