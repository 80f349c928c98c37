import { existsSync } from "node:fs";
import type { Config } from "../config.js";
import type { NativeBinding } from "../native/binding.js";
import { matchesAny, patternsOf } from "./glob.js";
import { leftAloneNow } from "./left-alone.js";

/** There where the kernel itself shows containers their own figures. */
const VPSADMINOS = "/proc/vpsadminos";

/** Of a container, what it is chosen by. */
export interface Chosen {
  readonly name: string;
  readonly runtime: string;
  readonly cgroup: string;
  readonly init: number;
}

/** Why the watcher leaves a container alone; undefined: it is to have the files. */
export type WhyNot = (container: Chosen) => string | undefined;

/** True where the kernel does what the watcher is for, and nobody has switched that on. */
export function isPassive({ watch }: Pick<Config, "watch">): boolean {
  return watch === "auto" && existsSync(VPSADMINOS);
}

/** What patterns are matched against: its name, "lxc:name", and its cgroup. */
function namesOf({ name, runtime, cgroup }: Chosen): string[] {
  return [name, `${runtime}:${name}`, cgroup];
}

/** By the patterns alone. */
export function whyNotByName(
  binding: Pick<NativeBinding, "fnmatch">,
  only: readonly string[],
  exclude: readonly string[],
): WhyNot {
  return (container) => {
    const names = namesOf(container);
    if (!matchesAny(binding, only, names)) {
      return "attach-only does not match it";
    }
    return matchesAny(binding, exclude, names) ? "attach-exclude matches it" : undefined;
  };
}

/** By the whole configuration, and by what operators have detached until now. */
export function whyNotNow(
  binding: Pick<NativeBinding, "fnmatch">,
  config: Pick<Config, "watch" | "attachOnly" | "attachExclude">,
  isLeftAlone = leftAloneNow(),
): WhyNot {
  if (config.watch === "off") {
    return () => "watch is off";
  }
  if (isPassive(config)) {
    return () => "this is vpsAdminOS";
  }
  const { attachOnly, attachExclude } = config;
  const byName = whyNotByName(binding, patternsOf(attachOnly), patternsOf(attachExclude));
  return (container) =>
    isLeftAlone(container.init)
      ? "it was detached, or its own configuration says so"
      : byName(container);
}
