import { existsSync } from "node:fs";
import type { Config } from "../config.js";
import type { NativeBinding } from "../native/binding.js";
import { matchesAny, patternsOf } from "./glob.js";
import { LeftAlone } from "./left-alone.js";
import { mountNamespaceOf } from "./namespaces.js";

/** Exists on kernels that virtualise /proc themselves. */
const VPSADMINOS = "/proc/vpsadminos";

/** The properties by which a container is chosen. */
interface Candidate {
  readonly id: string;
  readonly name: string;
  readonly runtime: string;
  readonly cgroup: string;
  readonly init: number;
}

/** Why the watcher leaves a container alone; undefined if it gets the files. */
export type ExclusionReason = (container: Candidate) => string | undefined;

/** Whether the kernel virtualises /proc itself and the watcher is not explicitly on. */
export function isPassive({ watch }: Pick<Config, "watch">): boolean {
  return watch === "auto" && existsSync(VPSADMINOS);
}

/** The texts that patterns are matched against: its name, "lxc:name" and its cgroup. */
function namesOf({ name, runtime, cgroup }: Candidate): string[] {
  return [name, `${runtime}:${name}`, cgroup];
}

/** The reason by patterns alone. */
export function exclusionByName(
  binding: Pick<NativeBinding, "fnmatch">,
  only: readonly string[],
  exclude: readonly string[],
): ExclusionReason {
  return (container) => {
    const names = namesOf(container);
    if (!matchesAny(binding, only, names)) {
      return "attach-only does not match it";
    }
    return matchesAny(binding, exclude, names) ? "attach-exclude matches it" : undefined;
  };
}

type Selecting = Pick<Config, "watch" | "attachOnly" | "attachExclude">;

/**
 * The reason by the whole configuration, by what operators have detached, and by where its files would be: what is
 * mounted for processes in the mount namespace of this one, all of the host see.
 */
export function exclusionReason(
  binding: Pick<NativeBinding, "fnmatch" | "identityOf">,
  config: Selecting,
  isLeftAlone?: ReturnType<LeftAlone["now"]>,
): ExclusionReason {
  // The list of those that are left alone does not matter then, and may not be readable.
  if (config.watch === "off") {
    return () => "watch is off";
  }
  const own = mountNamespaceOf(process.pid);
  const leftAlone = isLeftAlone ?? new LeftAlone(binding.identityOf).now();
  const byConfig = exclusionFromHooks(binding, config, leftAlone);
  return (container) =>
    mountNamespaceOf(container.init) === own
      ? "it has no mount namespace of its own"
      : byConfig(container);
}

/** The same for hooks, which serve containers even if the watcher is off. */
export function exclusionFromHooks(
  binding: Pick<NativeBinding, "fnmatch" | "identityOf">,
  config: Selecting,
  isLeftAlone = new LeftAlone(binding.identityOf).now(),
): ExclusionReason {
  if (isPassive(config)) {
    return () => "this is vpsAdminOS";
  }
  const { attachOnly, attachExclude } = config;
  const byName = exclusionByName(binding, patternsOf(attachOnly), patternsOf(attachExclude));
  return (container) =>
    isLeftAlone(container)
      ? "it was detached, or its own configuration says so"
      : byName(container);
}
