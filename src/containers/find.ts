import { errnoOf, VprocfsError } from "../errors.js";
import type { ContainerInfo, LocatedContainer, NativeBinding } from "../native/binding.js";
import { isRoot } from "../root.js";
import { didYouMean, isShortFor, printable } from "../text.js";
import { type MadeByRoot, madeByRoot } from "./made-by-root.js";
import { type RuntimeNames, runtimeNames } from "./runtime-names.js";

type Finder = Pick<NativeBinding, "locationOf" | "locateContainers">;

/** The kernel's largest PID is 2^22. */
const PID = /^[1-9]\d{0,6}$/;

/** How many candidates an error lists. */
const MAX_CANDIDATES = 20;

function byPid(finder: Finder, pid: number): LocatedContainer | undefined {
  try {
    const container = finder.locationOf(pid);
    if (container === null) {
      throw new VprocfsError("CONTAINER", `process ${pid} is not in a container`);
    }
    return container;
  } catch (error) {
    if (errnoOf(error) === "ESRCH" || errnoOf(error) === "ENOENT") {
      return undefined;
    }
    if (errnoOf(error) === "EACCES" && !isRoot()) {
      throw new VprocfsError("NOT_ROOT", `process ${pid}: must be run as root`, { cause: error });
    }
    throw error;
  }
}

/** Like byPid, but an error is no answer. */
function tryPid(finder: Finder, pid: number): LocatedContainer | undefined {
  try {
    return byPid(finder, pid);
  } catch {
    // If nothing else is found, the PID is tried again, and the error is told then.
    return undefined;
  }
}

/** The part up to and including the last slash, and the part after it. */
function split(name: string): readonly [string, string] {
  const at = name.lastIndexOf("/") + 1;
  return [name.slice(0, at), name.slice(at)];
}

/** Whether a word abbreviates a name. In "web1/cafe…" either part may be abbreviated. */
function isBeginning(word: string, name: string): boolean {
  const [wordHead, wordTail] = split(word);
  const [head, tail] = split(name);
  if ((wordHead === "") !== (head === "")) {
    return false;
  }
  const isHead = wordHead === head || isShortFor(wordHead.slice(0, -1), head.slice(0, -1));
  return isHead && (wordTail === tail || isShortFor(wordTail, tail));
}

/** A container and all its names. */
interface Known {
  readonly container: LocatedContainer;
  /** The name of its cgroup, and those that people gave it. */
  readonly names: readonly string[];
  /** The name that people are most likely to know. */
  readonly best: string;
}

function isInner({ name }: LocatedContainer): boolean {
  return name.includes("/");
}

function known(containers: readonly LocatedContainer[], namesOf: RuntimeNames): Known[] {
  const byId = new Map(
    containers.filter((one) => !isInner(one)).map((one) => [one.id, namesOf(one)] as const),
  );
  return containers.map((container) => {
    const { name } = container;
    const of = byId.get(isInner(container) ? container.tenant : container.id) ?? [];
    const others = isInner(container) ? of.map((head) => `${head}/${split(name)[1]}`) : of;
    return { container, names: [name, ...others], best: others[0] ?? name };
  });
}

function candidate({ container, best }: Known): string {
  const { id, runtime } = container;
  return `${id} (${runtime === "" ? "" : `${runtime} `}${printable(best)})`;
}

/** The only one found; throws if there are several. */
function only(found: readonly Known[], how: string, word: string): LocatedContainer | undefined {
  if (found.length > 1) {
    const list = found.slice(0, MAX_CANDIDATES).map(candidate).join(", ");
    const rest = found.length > MAX_CANDIDATES ? ", ..." : "";
    throw new VprocfsError(
      "CONTAINER",
      `several containers ${how} '${printable(word)}', use an id: ${list}${rest}`,
    );
  }
  return found[0]?.container;
}

const NAMED = "are named";
const BEGUN = "have names that begin with";

/**
 * The container that an operator means: by id, else by name (of the cgroup, or given by people), else by the
 * PID of any process in it, else by the beginning of a name that is a hash. A nested container is
 * "web1/inner". "inner" alone comes last, so that a container cannot take the name of a neighbour by nesting
 * one. Those that root made come before those of the host's users, one of whose may be named as root's begins;
 * with "inner" alone only where both are found in the same way.
 */
export function findContainer(
  finder: Finder,
  word: string,
  isMadeByRoot: MadeByRoot = madeByRoot(),
  namesOf: RuntimeNames = runtimeNames("/", isMadeByRoot),
): LocatedContainer {
  const containers = finder.locateContainers();
  const exact = containers.find((container) => container.id === word);
  if (exact !== undefined) {
    return exact;
  }
  const all = known(containers, namesOf);
  const inner = all.filter(({ container }) => isInner(container));
  const outer = all.filter(({ container }) => !isInner(container));
  const isPid = PID.test(word);
  const isRoots = ({ container }: Known): boolean => isMadeByRoot(container);
  const isNamed = ({ names }: Known): boolean => names.includes(word);
  const isBegun = ({ names }: Known): boolean =>
    !isPid && names.some((name) => isBeginning(word, name));
  const ofRoot = (found: readonly Known[], how: string): LocatedContainer | undefined =>
    only(found.filter(isRoots), how, word);
  const ofAny = (found: readonly Known[], how: string): LocatedContainer | undefined =>
    ofRoot(found, how) ?? only(found, how, word);
  const rootsByPid = (): LocatedContainer | undefined => {
    const container = isPid ? tryPid(finder, Number(word)) : undefined;
    return container !== undefined && isMadeByRoot(container) ? container : undefined;
  };
  const bare = inner.map((one) => ({ ...one, names: [split(one.container.name)[1]] }));
  const found =
    ofRoot(outer.filter(isNamed), NAMED) ??
    ofRoot(inner.filter(isNamed), NAMED) ??
    rootsByPid() ??
    ofRoot(outer.filter(isBegun), BEGUN) ??
    ofRoot(inner.filter(isBegun), BEGUN) ??
    only(outer.filter(isNamed), NAMED, word) ??
    only(inner.filter(isNamed), NAMED, word) ??
    (isPid ? byPid(finder, Number(word)) : undefined) ??
    only(outer.filter(isBegun), BEGUN, word) ??
    only(inner.filter(isBegun), BEGUN, word) ??
    ofAny(bare.filter(isNamed), NAMED) ??
    ofAny(bare.filter(isBegun), BEGUN);
  if (found === undefined) {
    if (!isRoot()) {
      const what = `no container '${printable(word)}' that is yours`;
      throw new VprocfsError("NOT_ROOT", `${what}: to find all of them, run this as root`);
    }
    const what = isPid ? "no container or process" : "no container";
    const names = all.flatMap((one) => one.names);
    throw new VprocfsError("CONTAINER", `${what} '${printable(word)}'${didYouMean(word, names)}`);
  }
  return found;
}

/**
 * The container with its figures, by processes that may be in it; without them if it has ended or they cannot be read.
 * Does not return while a file of its cgroups does not answer.
 */
export function withFigures(
  { containerOf }: Pick<NativeBinding, "containerOf">,
  container: LocatedContainer,
  pids: readonly number[] = [],
): ContainerInfo | LocatedContainer {
  for (const pid of [container.init, ...pids]) {
    try {
      const found = containerOf(pid);
      if (found?.id === container.id) {
        return found;
      }
    } catch {
      // Another one may be left.
    }
  }
  return container;
}
