/** What every mount, cgroup, container and directory made by a test begins with. */
export const TEST_PREFIX = "vprocfs-test-";

let next = 0;

/**
 * A name for something outside this process, such as a cgroup. It carries our PID, so that
 * leftovers.mjs can tell what a dead one left behind.
 */
export function testName(what: string): string {
  next += 1;
  return `${TEST_PREFIX}${process.pid}-${next}-${what}`;
}
