import { errnoOf, VprocfsError } from "../errors.js";
import type { ContainerInfo, NativeBinding } from "../native/binding.js";
import { didYouMean, isShortFor, printable } from "../text.js";

type Finder = Pick<NativeBinding, "containerOf" | "scanContainers">;

/** The kernel's largest PID is 2^22. */
const PID = /^[1-9]\d{0,6}$/;

/** As many as are named where several are meant. */
const MOST_CANDIDATES = 20;

function byPid(finder: Finder, pid: number): ContainerInfo | undefined {
  try {
    const container = finder.containerOf(pid);
    if (container === null) {
      throw new VprocfsError("CONTAINER", `process ${pid} is in no container`);
    }
    return container;
  } catch (error) {
    if (errnoOf(error) === "ESRCH" || errnoOf(error) === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/** What stands before the last slash, with it, and what stands behind. */
function split(name: string): readonly [string, string] {
  const at = name.lastIndexOf("/") + 1;
  return [name.slice(0, at), name.slice(at)];
}

/** Whether a word is the beginning of a name; of "web1/cafe…" both parts may be. */
function isBeginning(word: string, name: string): boolean {
  const [wordHead, wordTail] = split(word);
  const [head, tail] = split(name);
  if ((wordHead === "") !== (head === "")) {
    return false;
  }
  const isHead = wordHead === head || isShortFor(wordHead.slice(0, -1), head.slice(0, -1));
  return isHead && (wordTail === tail || isShortFor(wordTail, tail));
}

function candidate({ id, name, runtime }: ContainerInfo): string {
  return `${id} (${runtime === "" ? "" : `${runtime} `}${printable(name)})`;
}

/** Throws when there are several. */
function only(
  found: readonly ContainerInfo[],
  how: string,
  word: string,
): ContainerInfo | undefined {
  if (found.length > 1) {
    const list = found.slice(0, MOST_CANDIDATES).map(candidate).join(", ");
    const rest = found.length > MOST_CANDIDATES ? ", ..." : "";
    throw new VprocfsError(
      "CONTAINER",
      `several containers ${how} '${printable(word)}', use an id: ${list}${rest}`,
    );
  }
  return found[0];
}

/**
 * The container that an operator means: by id, else by name, else by the PID of any process, else by
 * the beginning of a name that is a hash. One within another is "web1/inner"; "inner" does where
 * nothing else is meant, so that what is made inside takes no other container's name.
 */
export function findContainer(finder: Finder, word: string): ContainerInfo {
  const containers = finder.scanContainers();
  const where = (fits: (name: string) => boolean, how: string): ContainerInfo | undefined =>
    only(
      containers.filter(({ name }) => fits(name)),
      how,
      word,
    );
  const isPid = PID.test(word);
  const found =
    containers.find((container) => container.id === word) ??
    where((name) => name === word, "are named") ??
    (isPid ? byPid(finder, Number(word)) : undefined) ??
    (isPid ? undefined : where((name) => isBeginning(word, name), "have names that begin with")) ??
    where((name) => split(name)[1] === word, "are named") ??
    (isPid
      ? undefined
      : where((name) => isShortFor(word, split(name)[1]), "have names that begin with"));
  if (found === undefined) {
    const names = containers.map((container) => container.name);
    const what = isPid ? "no container or process" : "no container";
    throw new VprocfsError("CONTAINER", `${what} '${printable(word)}'${didYouMean(word, names)}`);
  }
  return found;
}
