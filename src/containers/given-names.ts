import type { ContainerIdentity } from "../native/binding.js";
import { type RuntimeNames, runtimeNames } from "./runtime-names.js";

type Named = Pick<ContainerIdentity, "id" | "tenant" | "name" | "runtime" | "cgroup">;

/** The name of the outermost container: "web1" of "web1/inner". */
function outermost(name: string): string {
  return name.split("/", 1)[0] ?? name;
}

/**
 * The names that people gave to containers whose cgroups are named by ids, by the ids of the containers. Containers
 * whose given name is not known are missing. A container keeps the name with which it was first seen, so that a table
 * that is drawn repeatedly reads no file twice.
 */
export class GivenNames {
  readonly #makeNamesOf: () => RuntimeNames;
  #names = new Map<string, string | undefined>();

  constructor(makeNamesOf: () => RuntimeNames = runtimeNames) {
    this.#makeNamesOf = makeNamesOf;
  }

  of(containers: readonly Named[]): ReadonlyMap<string, string> {
    let namesOf: RuntimeNames | undefined;
    const byId = new Map(containers.map((one) => [one.id, one]));
    const find = ({ name, tenant, cgroup }: Named): string | undefined => {
      const head = outermost(name);
      // By its id: a user's container may have the name of another one.
      const around = byId.get(tenant);
      namesOf ??= this.#makeNamesOf();
      const [given] = namesOf(around?.name === head ? around : { name: head, runtime: "", cgroup });
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
