import { join } from "node:path";
import { FILE_NAMES, pathOf } from "../files.js";
import { launch } from "./launch.js";
import type { Peer } from "./peer.js";

/** A FUSE server that only answers: the lower bound for any daemon. */
export const floor: Peer = {
  name: "floor",
  title: "FUSE floor",
  unavailable: () => undefined,
  start: async (context) => {
    const { pid, mountpoint, start } = await launch(context, {
      command: (path) => [context.programs.floor, path, ...FILE_NAMES.map(pathOf)],
      probe: "meminfo",
      optional: false,
    });
    return { pid, start, alike: true, source: async (_, file) => join(mountpoint, file) };
  },
};
