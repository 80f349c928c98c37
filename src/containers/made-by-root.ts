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

/** Without the escapes of systemd's unit names, as names of containers are. */
function unescapeUnit(name: string): string {
  return name.replaceAll(/\\x([\da-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/** The directory above the innermost cgroup whose name holds `name`; undefined: there is none. */
function directoryAbove(cgroup: string, name: string): string | undefined {
  for (let path = cgroup; path !== "/" && path !== "."; path = dirname(path)) {
    const last = path.slice(path.lastIndexOf("/") + 1);
    if (last.includes(name) || unescapeUnit(last).includes(name)) {
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
