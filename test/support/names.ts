import { existsSync } from "node:fs";

/** What every mount, cgroup, container and directory made by a test begins with. */
export const TEST_PREFIX = "vprocfs-test-";

let next = 0;

/**
 * A name for something outside this process, such as a cgroup. It carries our PID, so that a later
 * run can tell what a dead one left behind.
 */
export function testName(what: string): string {
  next += 1;
  return `${TEST_PREFIX}${process.pid}-${next}-${what}`;
}

/** True when `name` was made by testName() in a process that is gone. */
export function isLeftover(name: string): boolean {
  const pid = /^vprocfs-(?:test|demo)-(\d+)(?:-|$)/.exec(name)?.[1];
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}
