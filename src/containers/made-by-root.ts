import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { readMounts } from "../mountinfo.js";
import type { ContainerIdentity } from "../native/binding.js";

/**
 * Whether root made the cgroup that a container, or the one around it, is named after. To a user of the host the service
 * manager delegates a cgroup of which that user owns every directory: below it anything may have the name of another
 * container. The cgroup itself does not tell: runtimes give it to the root of the container's user namespace.
 */
export type MadeByRoot = (container: Pick<ContainerIdentity, "name" | "cgroup">) => boolean;

/** The mounts of whole hierarchies. */
function hierarchies(): string[] {
  try {
    return readMounts()
      .filter(({ fsType, root }) => /^cgroup2?$/.test(fsType) && root === "/")
      .map(({ mountpoint }) => mountpoint);
  } catch {
    return [];
  }
}

/** The owner of a directory; undefined: it cannot be read. */
function ownerOf(directory: string): number | undefined {
  try {
    return statSync(directory).uid;
  } catch {
    return undefined;
  }
}

/** Without the escapes of systemd's unit names that names of containers are without: those of printable characters. */
function unescapeUnit(name: string): string {
  return name.replaceAll(/\\x([2-6][\da-f]|7[\da-e])/g, (escaped, digits: string) => {
    const char = String.fromCharCode(Number.parseInt(digits, 16));
    return char === " " || char === "/" ? escaped : char;
  });
}

/** Whether a cgroup is called by this name, or by it and what a runtime puts before and systemd after it. */
function isCalled(cgroup: string, name: string): boolean {
  return [cgroup, cgroup.replace(/\.(?:scope|service)$/, "")].some(
    (whole) =>
      whole.endsWith(name) &&
      /^(?:[a-z.-]+[.@-])?$/.test(whole.slice(0, whole.length - name.length)),
  );
}

/**
 * The directory above the innermost cgroup that is called by `name`; undefined: there is none. Not that above the
 * outermost one: a user may name a cgroup as one above it is called.
 */
function directoryAbove(cgroup: string, name: string): string | undefined {
  for (let path = cgroup; path !== "/" && path !== "."; path = dirname(path)) {
    const last = path.slice(path.lastIndexOf("/") + 1);
    if (isCalled(last, name) || isCalled(unescapeUnit(last), name)) {
      return dirname(path);
    }
  }
  return undefined;
}

/** By the owners of directories of cgroups below `mounts`. */
export function madeByRoot(
  mounts: readonly string[] = hierarchies(),
  owner: (directory: string) => number | undefined = ownerOf,
): MadeByRoot {
  return ({ name, cgroup }) => {
    const [outermost = ""] = name.split("/", 1);
    const above = directoryAbove(cgroup, outermost);
    if (above === undefined) {
      return false;
    }
    // The path may exist in several hierarchies of cgroup v1, and be delegated in one.
    const owners = mounts.map((mount) => owner(above === "/" ? mount : join(mount, above)));
    const known = owners.filter((uid) => uid !== undefined);
    return known.length > 0 && known.every((uid) => uid === 0);
  };
}
