type Undo = () => unknown;

/** What a test has made and must be rid of, in the reverse order of its making. */
export class Scope {
  readonly #undo: Undo[] = [];

  defer(undo: Undo): void {
    this.#undo.push(undo);
  }

  /** Undoes all, also when parts fail; the first failure is thrown in the end. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) {
      throw errors[0];
    }
  }
}
