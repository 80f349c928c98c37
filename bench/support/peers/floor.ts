import { join } from "node:path";
import { FILE_NAMES, pathOf } from "../files.js";
import { launch } from "./launch.js";
import type { Peer } from "./peer.js";

const floorPeer = (
  { name, title }: Pick<Peer, "name" | "title">,
  options: readonly string[],
): Peer => ({
  name,
  title,
  unavailable: () => undefined,
  start: async (context) => {
    const { pid, mountpoint, start } = await launch(context, {
      command: (path) => [context.programs.floor, ...options, path, ...FILE_NAMES.map(pathOf)],
      probe: "meminfo",
      optional: false,
    });
    return { pid, start, alike: true, source: async (_, file) => join(mountpoint, file) };
  },
});

/** A FUSE server that only answers: the lower bound for any daemon. */
export const floor = floorPeer({ name: "floor", title: "FUSE floor" }, []);

/** It also reads what the file is made from: the lower bound for any daemon whose figures are fresh. */
export const sources = floorPeer({ name: "sources", title: "FUSE floor that reads" }, ["--reads"]);

/** The same through the page cache: the lower bound for the contract `tick`. */
export const tickSources = floorPeer({ name: "tick-sources", title: "tick floor that reads" }, [
  "--reads",
  "--tick",
]);
