import {
  cgroupDirectories,
  findHierarchies,
  type Hierarchies,
  type Limits,
  limitSteps,
  limitsMemory,
  placeSteps,
} from "../../src/demo/cgroups.js";
import { cgroupId } from "./cgroups.js";
import { NAME_PREFIX } from "./paths.js";
import { FAVOURED_SHARES } from "./priority.js";
import type { Stage } from "./stage.js";

/** A limited container that runs only an init. */
export interface Container {
  readonly name: string;
  /** Its id in vprocfs. */
  readonly id: string;
  /** PID of its init on the host. */
  readonly pid: number;
  /** Its directories, one per hierarchy. */
  readonly cgroups: readonly string[];
}

export interface ContainerOptions {
  /** How many cgroups deep it is; 1 unless told. Limits are set on the outermost one. */
  readonly depth?: number;
}

const MIB = 1024 * 1024;

/**
 * The limits of every container. The CPU quota amounts to all CPUs of the machine: files have to show a quota, but no
 * reader is throttled, which would distort the measurement.
 */
const limitsFor = (cpus: number, favoured: boolean): Limits => ({
  memoryBytes: 256 * MIB,
  swapBytes: 128 * MIB,
  cpus,
  ...(favoured && { cpuShares: FAVOURED_SHARES }),
});

/** Makes and removes containers. The stage removes those that are left at the end. */
export class ContainerMaker {
  readonly #stage: Stage;
  readonly #host: Hierarchies;
  readonly #limits: Limits;
  #made = 0;

  constructor(stage: Stage, cpus: number, favoured: boolean) {
    this.#stage = stage;
    this.#host = findHierarchies();
    this.#limits = limitsFor(cpus, favoured);
  }

  async make(options: ContainerOptions = {}): Promise<Container> {
    this.#made += 1;
    const outermost = `${NAME_PREFIX}${process.pid}-${this.#made}`;
    let path = outermost;
    const steps: Promise<string>[] = [];
    const perform = (limits: Limits | undefined): void => {
      const limiting = limits === undefined ? [] : limitSteps(this.#host, path, limits);
      const all = [...placeSteps(this.#host, path), ...limiting];
      steps.push(...all.map((step) => this.#stage.run(...step)));
    };
    perform(this.#limits);
    for (let level = 2; level <= (options.depth ?? 1); level += 1) {
      await Promise.all(steps.splice(0));
      path += "/below";
      perform(undefined);
    }
    const cgroups = cgroupDirectories(this.#host, path);
    const [pid] = await Promise.all([
      this.#stage.run("container", outermost, ...cgroups),
      ...steps,
    ]);
    return { name: outermost, id: cgroupId(this.#host, path), pid: Number(pid), cgroups };
  }

  /** Throws if the container does not see its memory limit: such a peer does less work than the others. */
  async checkView(container: Container): Promise<void> {
    if (!limitsMemory(this.#host)) {
      return;
    }
    const seen = await this.#stage.run("head", container.name, "/proc/meminfo");
    if (Number(/^MemTotal:\s+(\d+) kB$/.exec(seen)?.[1]) !== this.#limits.memoryBytes / 1024) {
      throw new Error(`a container of ${this.#limits.memoryBytes / MIB} MiB sees "${seen}"`);
    }
  }

  /** Stops it and removes its cgroups. Nested ones are removed with the stage. */
  async remove(container: Container): Promise<void> {
    const directories = cgroupDirectories(this.#host, container.name);
    await Promise.all([
      this.#stage.run("stop", container.name),
      ...directories.map((directory) => this.#stage.run("remove", directory)),
    ]);
  }
}
