import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FILE_NAMES, pathOf } from "../files.js";
import type { Peer } from "./peer.js";

/** The kernel's own procfs and sysfs, inside the same container. */
export const host: Peer = {
  name: "host",
  title: "host procfs",
  unavailable: () => undefined,
  start: async () => ({
    pid: undefined,
    start: undefined,
    source: async () => undefined,
  }),
};

/** Files with the same content on a tmpfs: the cost of reading alone. */
export const tmpfs: Peer = {
  name: "tmpfs",
  title: "tmpfs file",
  unavailable: () => undefined,
  start: async ({ directory }) => {
    for (const name of FILE_NAMES) {
      writeFileSync(join(directory, name), readFileSync(pathOf(name)));
    }
    return {
      pid: undefined,
      start: undefined,
      source: async (_container, file) => join(directory, file),
    };
  },
};
