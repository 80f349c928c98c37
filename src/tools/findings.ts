/** How much a finding matters. */
export type Level = "ok" | "info" | "warning" | "problem";

/** The result of one check. */
export interface Finding {
  readonly level: Level;
  /** "host", "vprocfs" or a container's name. */
  readonly about: string;
  /** A container's id. */
  readonly id?: string;
  readonly what: string;
  /** What to do about it. */
  readonly todo?: string;
}

/** Collects findings about one thing. */
export class Findings {
  readonly #about: string;
  readonly #id: string | undefined;
  readonly list: Finding[] = [];

  constructor(about: string, id?: string) {
    this.#about = about;
    this.#id = id;
  }

  add(level: Level, what: string, todo?: string): void {
    this.list.push({
      level,
      about: this.#about,
      ...(this.#id === undefined ? {} : { id: this.#id }),
      what,
      ...(todo === undefined ? {} : { todo }),
    });
  }
}
