import { errnoOf, VprocfsError } from "../errors.js";
import type { ContainerInfo, NativeBinding } from "../native/binding.js";
import { didYouMean, isShortFor, printable } from "../text.js";

type Finder = Pick<NativeBinding, "containerOf" | "scanContainers">;

/** The kernel's largest PID is 2^22. */
const PID = /^[1-9]\d{0,6}$/;

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

/**
 * The container that an operator means: by id, else by name, else by the PID of any process, else by
 * the beginning of a name that is a hash.
 */
export function findContainer(finder: Finder, word: string): ContainerInfo {
  const containers = finder.scanContainers();
  const exact = containers.find((container) => container.id === word);
  if (exact !== undefined) {
    return exact;
  }
  const whole = containers.filter((container) => container.name === word);
  const isBegun = whole.length === 0 && !PID.test(word);
  const begun = isBegun ? containers.filter(({ name }) => isShortFor(word, name)) : [];
  const named = [...whole, ...begun];
  if (named.length > 1) {
    const how = isBegun ? "have names that begin with" : "are named";
    const ids = named.map((container) => container.id).join(", ");
    throw new VprocfsError(
      "CONTAINER",
      `several containers ${how} '${printable(word)}', use an id: ${ids}`,
    );
  }
  const found = named[0] ?? (PID.test(word) ? byPid(finder, Number(word)) : undefined);
  if (found === undefined) {
    const names = containers.map((container) => container.name);
    const what = PID.test(word) ? "no container or process" : "no container";
    throw new VprocfsError("CONTAINER", `${what} '${printable(word)}'${didYouMean(word, names)}`);
  }
  return found;
}
