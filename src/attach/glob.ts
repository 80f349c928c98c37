import type { NativeBinding } from "../native/binding.js";

/** "web*, lxc:db?" as a list. */
export function patternsOf(list: string): string[] {
  return list
    .split(",")
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "");
}

/** Whether any of the patterns matches any of the names. The attach helper matches in the same way. */
export function matchesAny(
  binding: Pick<NativeBinding, "fnmatch">,
  patterns: readonly string[],
  names: readonly string[],
): boolean {
  return patterns.some((pattern) => names.some((name) => binding.fnmatch(pattern, name)));
}
