// The nodes that scenarios run on.

/**
 * @typedef {object} NodeKind
 * @property {string} name          What `--node` calls it.
 * @property {string} title         Its column in docs/reference/support.md.
 * @property {string} suite         Debian's name of the release.
 * @property {string} architecture  Debian's name of the architecture.
 * @property {string} arch          Node.js's name of it.
 * @property {string} tools         What names of compilers for it begin with.
 * @property {string[]} qemu        The program that emulates it, with what depends on the architecture.
 * @property {string} console       The kernel's name of the first serial line.
 * @property {boolean} resends      The kernel can be asked to resend requests (Linux 6.9).
 * @property {boolean} [needsNode]  The release's Node.js is too old: vprocfs-node is installed with us.
 */

/** @type {NodeKind[]} */
export const NODES = [
  {
    name: "trixie",
    title: "Debian 13, Linux 6.12, x86-64",
    suite: "trixie",
    architecture: "amd64",
    arch: "x64",
    tools: "x86_64-linux-gnu-",
    qemu: ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"],
    console: "ttyS0",
    resends: true,
  },
  {
    name: "bookworm",
    title: "Debian 12, Linux 6.1, x86-64",
    suite: "bookworm",
    architecture: "amd64",
    arch: "x64",
    tools: "x86_64-linux-gnu-",
    qemu: ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"],
    console: "ttyS0",
    resends: false,
    needsNode: true,
  },
  {
    name: "trixie-arm64",
    title: "Debian 13, Linux 6.12, arm64",
    suite: "trixie",
    architecture: "arm64",
    arch: "arm64",
    tools: "aarch64-linux-gnu-",
    // The emulation of pointer authentication, which later CPUs have, takes a large part of all time.
    qemu: [
      "qemu-system-aarch64",
      "-machine",
      "virt",
      "-accel",
      "tcg,thread=multi",
      "-cpu",
      "neoverse-n1",
    ],
    console: "ttyAMA0",
    resends: true,
  },
];

/** MiB of memory of a node. */
export const MEMORY_MIB = 2048;
/** CPUs of a node. */
export const CPUS = 2;
