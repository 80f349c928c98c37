import type { ContainerInfo } from "../native/binding.js";
import { type RuntimeNames, runtimeNames } from "./runtime-names.js";

type Named = Pick<ContainerInfo, "id" | "name" | "runtime">;

/** The name of the outermost container around it; its own where it is in none. */
function outermost(name: string): string {
  return name.split("/", 1)[0] ?? name;
}

/**
 * The names that people know containers by whose cgroups have an id for a name, by the containers' ids; those
 * that no runtime tells are left out. A container keeps the name with which it was first seen, so that a table
 * that is drawn again and again reads no file twice.
 */
export class GivenNames {
  readonly #makeNamesOf: () => RuntimeNames;
  #names = new Map<string, string | undefined>();

  constructor(makeNamesOf: () => RuntimeNames = runtimeNames) {
    this.#makeNamesOf = makeNamesOf;
  }

  of(containers: readonly Named[]): ReadonlyMap<string, string> {
    let namesOf: RuntimeNames | undefined;
    const runtimes = new Map(containers.map(({ name, runtime }) => [name, runtime]));
    const find = ({ name }: Named): string | undefined => {
      const head = outermost(name);
      namesOf ??= this.#makeNamesOf();
      const [given] = namesOf({ name: head, runtime: runtimes.get(head) ?? "" });
      return given === undefined || given === head ? undefined : given + name.slice(head.length);
    };
    this.#names = new Map(
      containers.map((one) => [
        one.id,
        this.#names.has(one.id) ? this.#names.get(one.id) : find(one),
      ]),
    );
    return new Map(
      [...this.#names].flatMap(([id, name]) => (name === undefined ? [] : [[id, name]])),
    );
  }
}
