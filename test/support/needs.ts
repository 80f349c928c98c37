import { existsSync } from "node:fs";
import { describe } from "vitest";
import { haveProgram } from "./command.js";

function lacking(programs: readonly string[]): string[] {
  const isRoot = process.getuid?.() === 0;
  return [
    ...(isRoot ? [] : ["not root"]),
    ...(existsSync("/dev/fuse") ? [] : ["no /dev/fuse"]),
    ...programs.filter((name) => !haveProgram(name)).map((name) => `no ${name}`),
  ];
}

/**
 * A block of tests on the real kernel; when something is missing, its title says what. `others`: what
 * else is missing.
 */
export function describeLive(
  title: string,
  programs: readonly string[],
  tests: () => void,
  others: readonly string[] = [],
): void {
  const reasons = [...lacking(["gcc", "mount", "nsenter", ...programs]), ...others];
  const reason = reasons.length === 0 ? "" : ` (skipped: ${reasons.join(", ")})`;
  describe.runIf(reasons.length === 0)(`${title}${reason}`, tests);
}
