// Files of end-to-end tests that stand apart from the others of test/e2e; test/README.md says by what.

const e2e = (name: string): string => `test/e2e/${name}.test.ts`;

/**
 * What concerns containers and daemons of everybody on this host, and is over before e2e-aside begins: a
 * suspend, which freezes all containers, and which any daemon that starts or stops takes back; a daemon with
 * a watcher in a mount namespace of its own, which takes the files of others for dead when it stops.
 */
export const FIRST: readonly string[] = ["full-run", "sleep"].map(e2e);

/**
 * What runs beside the other end-to-end tests. They name what they look at, have no watcher, which takes
 * dead files out of all containers when it stops, and nothing of which the host has one: swap, kernel log,
 * default ports and mount points. They measure neither time nor shares of the CPU.
 */
export const ASIDE: readonly string[] = [
  "caller-identity",
  "check",
  "command-line",
  "engine",
  "explain",
  "hooks",
  "hooks-silent",
  "kinds",
  "kubernetes",
  "sysfs",
  "time",
].map(e2e);

/** The same of what fails once there is broken: the protocol of FUSE. */
export const ASIDE_ONCE: readonly string[] = ["fuse", "fuse-isolation", "fuse-read"].map(e2e);

/**
 * Never down, taking over from others, the protocol of FUSE, hostile containers: what fails once there is
 * broken. Patterns, which what runs beside matches too.
 */
export const ONCE: readonly string[] = [
  "test/e2e/{never-down,fuse,tick,calls}*.test.ts",
  "test/e2e/{as-before,hand-over,idmapped,polled,soak}.test.ts",
  "test/hostile/**/*.test.ts",
];
