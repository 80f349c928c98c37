import type { NativeBinding, Survey, SurveyedContainer } from "../native/binding.js";

/** One container of a survey with its figures by name; what is not told has no entry. */
export interface Surveyed extends SurveyedContainer {
  readonly figures: ReadonlyMap<string, number>;
}

/** All containers at about one moment. */
export interface Containers {
  readonly containers: readonly Surveyed[];
  /** Seconds that it took. */
  readonly tookSeconds: number;
  /** Containers of which something could not be read. */
  readonly failed: number;
  /** Whether the kernel's log dates kills. */
  readonly readsLog: boolean;
}

function figuresOf(survey: Survey, names: readonly string[], row: number): Map<string, number> {
  const figures = new Map<string, number>();
  for (const [column, name] of names.entries()) {
    const value = survey.figures[row * names.length + column];
    if (value !== undefined && !Number.isNaN(value)) {
      figures.set(name, value);
    }
  }
  return figures;
}

/** Surveys with names for their figures. */
export class Surveys {
  readonly #names: readonly string[];
  readonly #surveyor: { take(): Promise<Survey> };

  /** The type and source say whose mounts count inside of containers. */
  constructor(binding: Pick<NativeBinding, "Surveyor">, fsType: string, source: string) {
    this.#names = binding.Surveyor.figures;
    this.#surveyor = new binding.Surveyor(fsType, source);
  }

  async take(): Promise<Containers> {
    const survey = await this.#surveyor.take();
    const { tookSeconds, failed, readsLog } = survey;
    const containers = survey.containers.map((container, row) => ({
      ...container,
      figures: figuresOf(survey, this.#names, row),
    }));
    return { containers, tookSeconds, failed, readsLog };
  }
}
